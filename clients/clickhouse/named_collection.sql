-- The same collection by a statement, where users may create collections. Put the token in.
CREATE NAMED COLLECTION fraiseql_by_statement AS
    url = 'http://127.0.0.1:8080/assets',
    format = 'ArrowStream',
    `headers.header.name` = 'Authorization',
    `headers.header.value` = 'Bearer TOKEN';
