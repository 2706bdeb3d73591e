-- The shop's tables. Their keys and indexes come after the rows.

CREATE TABLE tb_region (
    pk_region bigint NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_nation (
    pk_nation bigint NOT NULL,
    id uuid NOT NULL,
    fk_region bigint NOT NULL,
    name text NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_supplier (
    pk_supplier bigint NOT NULL,
    id uuid NOT NULL,
    fk_nation bigint NOT NULL,
    name text NOT NULL,
    address text NOT NULL,
    phone text NOT NULL,
    account_balance numeric(15, 2) NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_customer (
    pk_customer bigint NOT NULL,
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    fk_nation bigint NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    market_segment text NOT NULL,
    account_balance numeric(15, 2) NOT NULL,
    address text NOT NULL,
    phone text NOT NULL,
    registered_at timestamptz NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_part (
    pk_part bigint NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    manufacturer text NOT NULL,
    brand text NOT NULL,
    type text NOT NULL,
    size integer NOT NULL,
    container text NOT NULL,
    retail_price numeric(15, 2) NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_offer (
    fk_part bigint NOT NULL,
    fk_supplier bigint NOT NULL,
    available_quantity integer NOT NULL,
    supply_cost numeric(15, 2) NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_order (
    pk_order bigint NOT NULL,
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    fk_customer bigint NOT NULL,
    status text NOT NULL,
    total_price numeric(15, 2) NOT NULL,
    order_date date NOT NULL,
    placed_at timestamptz NOT NULL,
    paid_at timestamptz,
    completed_at timestamptz,
    priority text NOT NULL,
    clerk text NOT NULL,
    ship_priority integer NOT NULL,
    comment text NOT NULL
);

CREATE TABLE tb_line_item (
    pk_line_item bigint NOT NULL,
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    fk_order bigint NOT NULL,
    line_number integer NOT NULL,
    fk_part bigint NOT NULL,
    fk_supplier bigint NOT NULL,
    status text NOT NULL,
    return_flag text NOT NULL,
    quantity numeric(15, 2) NOT NULL,
    extended_price numeric(15, 2) NOT NULL,
    discount numeric(15, 2) NOT NULL,
    tax numeric(15, 2) NOT NULL,
    ship_date date NOT NULL,
    commit_date date NOT NULL,
    receipt_date date NOT NULL,
    shipped_at timestamptz,
    received_at timestamptz,
    returned_at timestamptz,
    ship_instructions text NOT NULL,
    ship_mode text NOT NULL,
    comment text NOT NULL
);
