-- A bookshop as a FraiseQL project keeps one: tables, and a view with a document for each type.

CREATE TABLE tb_author (
    pk_author bigint PRIMARY KEY, id uuid UNIQUE, full_name text, home_address jsonb,
    email text, advance numeric
);
CREATE TABLE tb_publisher (
    pk_publisher bigint PRIMARY KEY, id uuid UNIQUE, full_name text, founded_in int
);
CREATE TABLE tb_book (
    pk_book bigint PRIMARY KEY, id uuid UNIQUE, isbn13 text, title text, is_available boolean,
    state text, grade text, pages_count int, copies_sold bigint, list_price numeric, weight float8,
    published_on date, shelf_time time, created_at timestamptz, batch_ref uuid, s3_key text,
    tags text[], extra_data jsonb, fk_author bigint REFERENCES tb_author, editions jsonb, owner text
);

INSERT INTO tb_author VALUES
    (1, 'a0000000-0000-4000-8000-000000000001', 'Zoë Ö''Neil',
     '{"street_1": "Rue \"B\" 1", "zip_code": "01000", "country": "FR"}',
     'zoe@example.org', 1500.00),
    (2, 'a0000000-0000-4000-8000-000000000002', '山田 太郎 😀',
     '{"street_1": "x", "zip_code": null, "country": "JP"}', NULL, 20),
    (3, 'a0000000-0000-4000-8000-000000000003', '', NULL, 'nobody@example.org', NULL);
INSERT INTO tb_publisher VALUES
    (1, 'b0000000-0000-4000-8000-000000000001', 'Éditions du Sud', 1978),
    (2, 'b0000000-0000-4000-8000-000000000002', 'Null & Sons', NULL);
INSERT INTO tb_book VALUES
    (1, 'c0000000-0000-4000-8000-000000000001', '9780000000001', 'First', true, 'in_print', 'GOOD',
     320, 5000000000, 19.90, 0.5, '2026-02-28', '09:30:00', '2026-01-01 00:00:00.000001+00',
     'd0000000-0000-4000-8000-000000000001', 'a/b', '{x,"é😀"}', '{"deepKey": [1, null, {"a": 1.50}]}',
     1, '[{"edition_no": 1, "unit_price": "0.10", "printed_on": "2026-01-31"},
          {"edition_no": 2, "unit_price": "2.50", "printed_on": null}]', 'ann'),
    (2, 'c0000000-0000-4000-8000-000000000002', '9780000000002', 'second 100%', false, 'sold_out',
     'POOR', 0, 0, 1234567890123456.78, 1e-7, '1969-12-31', '23:59:59.999999',
     '2026-01-02 12:00:00+02', NULL, NULL, '{}', '[]', 2, '[]', 'bob'),
    (3, 'c0000000-0000-4000-8000-000000000003', '9780000000003', 'Third_one', true, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-03 00:00:00+00', NULL, 'c', '{x}', NULL, NULL,
     '[{"edition_no": 1, "unit_price": "10.00", "printed_on": "2026-03-01"}]', 'ann'),
    (4, 'c0000000-0000-4000-8000-000000000004', '9780000000004', 'fourth', false, 'in_print',
     'GOOD', -7, 9007199254740993, 10, 3.0, '2026-02-28', '00:00:00', '2026-01-04 00:00:00+00',
     NULL, NULL, '{"",y}', '"text"', 1, '[]', NULL);

CREATE VIEW v_author AS
SELECT pk_author, id, jsonb_build_object(
    '__typename', 'Author', 'id', id, 'full_name', full_name, 'home_address', home_address,
    'email', email, 'advance', advance
) AS data
FROM tb_author;

CREATE VIEW v_publisher AS
SELECT pk_publisher, id, jsonb_build_object(
    '__typename', 'Publisher', 'id', id, 'full_name', full_name, 'founded_in', founded_in
) AS data
FROM tb_publisher;

CREATE VIEW v_book AS
SELECT pk_book, b.id, b.owner, jsonb_build_object(
    'pk_book', pk_book, 'id', b.id, 'isbn_13', isbn13, 'title', title, 'is_available', is_available, 'state', state,
    'grade', grade, 'pages_count', pages_count, 'copies_sold', copies_sold,
    'list_price', list_price, 'weight', weight, 'published_on', published_on,
    'shelf_time', shelf_time, 'created_at', created_at, 'batch_ref', batch_ref, 's3_key', s3_key,
    'tags', to_jsonb(tags), 'extra_data', extra_data, 'author', a.data, 'editions', editions
) AS data
FROM tb_book AS b
LEFT JOIN v_author AS a ON a.pk_author = b.fk_author;

CREATE VIEW v_own_book AS
SELECT pk_book, id, owner, data FROM v_book;

CREATE VIEW v_shelf AS
SELECT pk_book, id, data FROM v_book WHERE owner = current_setting('app.reader', true);
