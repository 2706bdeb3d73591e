-- Flat views for Arrow: one typed column for every scalar field.

CREATE VIEW va_customer AS
SELECT
    id,
    pk_customer AS customer_key,
    tenant_id,
    name,
    status,
    market_segment,
    account_balance,
    address,
    phone,
    registered_at,
    comment
FROM tb_customer;

CREATE VIEW va_order AS
SELECT
    id,
    pk_order AS order_key,
    tenant_id,
    status,
    total_price,
    order_date,
    placed_at,
    paid_at,
    completed_at,
    priority,
    clerk,
    ship_priority,
    comment
FROM tb_order;

CREATE VIEW va_line_item AS
SELECT
    id,
    fk_order AS order_key,
    line_number,
    tenant_id,
    fk_part AS part_key,
    fk_supplier AS supplier_key,
    status,
    return_flag,
    quantity,
    extended_price,
    discount,
    tax,
    ship_date,
    commit_date,
    receipt_date,
    receipt_date > commit_date AS late,
    shipped_at,
    received_at,
    returned_at,
    ship_instructions,
    ship_mode,
    comment
FROM tb_line_item;
