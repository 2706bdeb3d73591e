-- TPC-H's line items in FraiseQL's form, from the raw table: a table, a view that builds documents
-- and has a flat view beside it, the same view without a flat view, and stored documents.

CREATE TABLE tb_line_item AS
SELECT
    l_orderkey * 8 + l_linenumber AS pk_line_item,
    md5(l_orderkey || '/' || l_linenumber)::uuid AS id,
    l_orderkey AS fk_order,
    l_linenumber AS line_number,
    l_partkey AS fk_part,
    l_suppkey AS fk_supplier,
    l_quantity::numeric(15, 2) AS quantity,
    l_extendedprice::numeric(15, 2) AS extended_price,
    l_discount::numeric(15, 2) AS discount,
    l_tax::numeric(15, 2) AS tax,
    l_returnflag AS return_flag,
    l_shipdate AS ship_date,
    l_commitdate AS commit_date,
    l_receiptdate AS receipt_date,
    (l_shipdate + interval '6 hours' + l_linenumber * interval '1.25 second')::timestamptz
        AS shipped_at,
    l_shipinstruct AS ship_instructions,
    l_shipmode AS ship_mode,
    l_comment AS comment
FROM lineitem;

DROP TABLE lineitem;
ALTER TABLE tb_line_item ADD PRIMARY KEY (pk_line_item);

CREATE VIEW v_line_item AS
SELECT
    l.pk_line_item,
    l.id,
    jsonb_build_object(
        'id', l.id,
        'orderKey', l.fk_order,
        'lineNumber', l.line_number,
        'partKey', l.fk_part,
        'supplierKey', l.fk_supplier,
        'quantity', l.quantity,
        'extendedPrice', l.extended_price,
        'discount', l.discount,
        'tax', l.tax,
        'returnFlag', l.return_flag,
        'shipDate', l.ship_date,
        'commitDate', l.commit_date,
        'receiptDate', l.receipt_date,
        'late', l.receipt_date > l.commit_date,
        'shippedAt', l.shipped_at,
        'shipInstructions', l.ship_instructions,
        'shipMode', l.ship_mode,
        'comment', l.comment
    ) AS data
FROM tb_line_item AS l;

CREATE VIEW va_line_item AS
SELECT
    id,
    fk_order AS order_key,
    line_number,
    fk_part AS part_key,
    fk_supplier AS supplier_key,
    quantity,
    extended_price,
    discount,
    tax,
    return_flag,
    ship_date,
    commit_date,
    receipt_date,
    receipt_date > commit_date AS late,
    shipped_at,
    ship_instructions,
    ship_mode,
    comment
FROM tb_line_item;

CREATE VIEW v_built_item AS SELECT l.id, l.data FROM v_line_item AS l;

CREATE TABLE tv_stored_item AS
SELECT pk_line_item, id, data FROM v_line_item ORDER BY pk_line_item LIMIT 250000;

ALTER TABLE tv_stored_item ADD PRIMARY KEY (pk_line_item);
VACUUM ANALYZE tb_line_item;
VACUUM ANALYZE tv_stored_item;
