-- What GraphQL reads: a document for every row, and beside it the columns that queries filter by.

CREATE VIEW v_region AS
SELECT
    r.id,
    jsonb_build_object(
        'id', r.id,
        'name', r.name,
        'comment', r.comment
    ) AS data
FROM tb_region AS r;

CREATE VIEW v_nation AS
SELECT
    n.pk_nation,
    n.id,
    jsonb_build_object(
        'id', n.id,
        'name', n.name,
        'comment', n.comment,
        'region', jsonb_build_object(
            'id', r.id,
            'name', r.name,
            'comment', r.comment
        )
    ) AS data
FROM tb_nation AS n
JOIN tb_region AS r ON r.pk_region = n.fk_region;

-- The nation as its own view shows it.
CREATE VIEW v_supplier AS
SELECT
    s.id,
    jsonb_build_object(
        'id', s.id,
        'supplier_key', s.pk_supplier,
        'name', s.name,
        'account_balance', s.account_balance,
        'address', s.address,
        'phone', s.phone,
        'nation', v_nation.data,
        'comment', s.comment
    ) AS data
FROM tb_supplier AS s
JOIN v_nation ON v_nation.pk_nation = s.fk_nation;

CREATE VIEW v_customer AS
SELECT
    c.pk_customer,
    c.id,
    c.tenant_id,
    jsonb_build_object(
        'id', c.id,
        'customer_key', c.pk_customer,
        'tenant_id', c.tenant_id,
        'name', c.name,
        'status', c.status,
        'market_segment', c.market_segment,
        'account_balance', c.account_balance,
        'address', c.address,
        'phone', c.phone,
        'nation', jsonb_build_object(
            'id', n.id,
            'name', n.name,
            'comment', n.comment,
            'region', jsonb_build_object(
                'id', r.id,
                'name', r.name,
                'comment', r.comment
            )
        ),
        'registered_at', c.registered_at,
        'comment', c.comment
    ) AS data
FROM tb_customer AS c
JOIN tb_nation AS n ON n.pk_nation = c.fk_nation
JOIN tb_region AS r ON r.pk_region = n.fk_region;

-- A list of objects, a list of texts, a free-form object and a computed number.
CREATE VIEW v_part AS
SELECT
    p.id,
    jsonb_build_object(
        'id', p.id,
        'part_key', p.pk_part,
        'name', p.name,
        'manufacturer', p.manufacturer,
        'brand', p.brand,
        'keywords', to_jsonb(string_to_array(lower(p.type), ' ')),
        'retail_price', p.retail_price,
        'markup', (p.retail_price / offers.cheapest)::double precision,
        'attributes', jsonb_build_object('size', p.size, 'container', p.container),
        'offers', offers.data,
        'comment', p.comment
    ) AS data
FROM tb_part AS p
CROSS JOIN LATERAL (
    SELECT
        min(o.supply_cost) AS cheapest,
        jsonb_agg(
            jsonb_build_object(
                'available_quantity', o.available_quantity,
                'supply_cost', o.supply_cost,
                'supplier', jsonb_build_object(
                    'id', s.id,
                    'supplier_key', s.pk_supplier,
                    'name', s.name,
                    'account_balance', s.account_balance,
                    'address', s.address,
                    'phone', s.phone,
                    'nation', jsonb_build_object(
                        'id', n.id,
                        'name', n.name,
                        'comment', n.comment,
                        'region', jsonb_build_object(
                            'id', r.id,
                            'name', r.name,
                            'comment', r.comment
                        )
                    ),
                    'comment', s.comment
                )
            )
            ORDER BY o.supply_cost, o.fk_supplier
        ) AS data
    FROM tb_offer AS o
    JOIN tb_supplier AS s ON s.pk_supplier = o.fk_supplier
    JOIN tb_nation AS n ON n.pk_nation = s.fk_nation
    JOIN tb_region AS r ON r.pk_region = n.fk_region
    WHERE o.fk_part = p.pk_part
) AS offers;

CREATE VIEW v_line_item AS
SELECT
    l.pk_line_item,
    l.id,
    l.tenant_id,
    l.fk_order,
    l.line_number,
    jsonb_build_object(
        'id', l.id,
        'order_key', l.fk_order,
        'line_number', l.line_number,
        'tenant_id', l.tenant_id,
        'part_key', l.fk_part,
        'supplier_key', l.fk_supplier,
        'status', l.status,
        'return_flag', l.return_flag,
        'quantity', l.quantity,
        'extended_price', l.extended_price,
        'discount', l.discount,
        'tax', l.tax,
        'ship_date', l.ship_date,
        'commit_date', l.commit_date,
        'receipt_date', l.receipt_date,
        'late', l.receipt_date > l.commit_date,
        'shipped_at', l.shipped_at,
        'received_at', l.received_at,
        'returned_at', l.returned_at,
        'ship_instructions', l.ship_instructions,
        'ship_mode', l.ship_mode,
        'comment', l.comment
    ) AS data
FROM tb_line_item AS l;

CREATE VIEW v_order AS
SELECT
    o.pk_order,
    o.id,
    o.tenant_id,
    jsonb_build_object(
        'id', o.id,
        'order_key', o.pk_order,
        'tenant_id', o.tenant_id,
        'status', o.status,
        'total_price', o.total_price,
        'order_date', o.order_date,
        'placed_at', o.placed_at,
        'paid_at', o.paid_at,
        'completed_at', o.completed_at,
        'priority', o.priority,
        'clerk', o.clerk,
        'ship_priority', o.ship_priority,
        'customer', v_customer.data,
        'line_items', (
            SELECT jsonb_agg(v_line_item.data ORDER BY v_line_item.line_number)
            FROM v_line_item
            WHERE v_line_item.fk_order = o.pk_order
        ),
        'comment', o.comment
    ) AS data
FROM tb_order AS o
JOIN v_customer ON v_customer.pk_customer = o.fk_customer;

-- An interface: rows of two types, each naming its own.
CREATE VIEW v_party AS
SELECT id, jsonb_build_object('__typename', 'Customer') || data AS data
FROM v_customer
UNION ALL
SELECT id, jsonb_build_object('__typename', 'Supplier') || data
FROM v_supplier;

-- A union: rows of three types that share no field but their id.
CREATE VIEW v_search_hit AS
SELECT id, jsonb_build_object('__typename', 'Customer') || data AS data
FROM v_customer
UNION ALL
SELECT id, jsonb_build_object('__typename', 'Supplier') || data
FROM v_supplier
UNION ALL
SELECT id, jsonb_build_object('__typename', 'Part') || data
FROM v_part;
