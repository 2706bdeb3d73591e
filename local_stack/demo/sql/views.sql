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
        'supplierKey', s.pk_supplier,
        'name', s.name,
        'accountBalance', s.account_balance,
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
        'customerKey', c.pk_customer,
        'tenantId', c.tenant_id,
        'name', c.name,
        'status', c.status,
        'marketSegment', c.market_segment,
        'accountBalance', c.account_balance,
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
        'registeredAt', c.registered_at,
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
        'partKey', p.pk_part,
        'name', p.name,
        'manufacturer', p.manufacturer,
        'brand', p.brand,
        'keywords', to_jsonb(string_to_array(lower(p.type), ' ')),
        'retailPrice', p.retail_price,
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
                'availableQuantity', o.available_quantity,
                'supplyCost', o.supply_cost,
                'supplier', jsonb_build_object(
                    'id', s.id,
                    'supplierKey', s.pk_supplier,
                    'name', s.name,
                    'accountBalance', s.account_balance,
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
        'orderKey', l.fk_order,
        'lineNumber', l.line_number,
        'tenantId', l.tenant_id,
        'partKey', l.fk_part,
        'supplierKey', l.fk_supplier,
        'status', l.status,
        'returnFlag', l.return_flag,
        'quantity', l.quantity,
        'extendedPrice', l.extended_price,
        'discount', l.discount,
        'tax', l.tax,
        'shipDate', l.ship_date,
        'commitDate', l.commit_date,
        'receiptDate', l.receipt_date,
        'late', l.receipt_date > l.commit_date,
        'shippedAt', l.shipped_at,
        'receivedAt', l.received_at,
        'returnedAt', l.returned_at,
        'shipInstructions', l.ship_instructions,
        'shipMode', l.ship_mode,
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
        'orderKey', o.pk_order,
        'tenantId', o.tenant_id,
        'status', o.status,
        'totalPrice', o.total_price,
        'orderDate', o.order_date,
        'placedAt', o.placed_at,
        'paidAt', o.paid_at,
        'completedAt', o.completed_at,
        'priority', o.priority,
        'clerk', o.clerk,
        'shipPriority', o.ship_priority,
        'customer', v_customer.data,
        'lineItems', (
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
