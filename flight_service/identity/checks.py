"""Checks the files of keys and users before the service starts."""

from flight_service.errors import SettingError
from flight_service.identity.jwks import KeysError, is_address, keys_in, reading_from
from flight_service.identity.users import UsersError, read_users
from fraiseql_assets.settings import Settings, variable


def check_identities(settings: Settings) -> None:
    """Returns if the files of keys and users can be read. Sends no request to an issuer, which may
    be down when the service starts.

    Raises:
        SettingError: naming the setting and what is wrong with its file.
    """
    source = settings.jwt_jwks
    if source is not None and not is_address(source):
        try:
            keys_in(reading_from(source)())
        except KeysError as error:
            raise SettingError(
                f"{variable('jwt_jwks')} is {source!r}, and {error}. Give the path of a JWKS, or "
                "an https:// address."
            ) from error
    if settings.users_file is not None:
        try:
            read_users(settings.users_file)
        except UsersError as error:
            raise SettingError(
                f"{variable('users_file')}: {error} `fraiseql-assets users add` writes it."
            ) from error
