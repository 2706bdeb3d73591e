"""The Arrow schema of GraphQL requests, beside that of events."""

from fraiseql_assets.events.schema import arrow_schema
from fraiseql_assets.requests.fields import REQUEST_FIELDS

REQUEST_SCHEMA = arrow_schema(REQUEST_FIELDS)

COLUMN_DESCRIPTIONS = {each.name: each.description for each in REQUEST_FIELDS}
