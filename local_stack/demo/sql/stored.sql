-- Orders with their documents stored: built once, then read without a join. They stay in the row,
-- uncompressed, up to the size of a page.

CREATE TABLE tv_order WITH (toast_tuple_target = 8160) AS
SELECT
    pk_order,
    id,
    tenant_id,
    data
FROM v_order;

ALTER TABLE tv_order ADD PRIMARY KEY (pk_order), ADD UNIQUE (id);
CREATE INDEX ON tv_order (tenant_id);
ANALYZE tv_order;
