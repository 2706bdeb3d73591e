-- The result of a GraphQL query as a table that ClickHouse reads anew every ten minutes. The table is
-- replaced at once, so readers never see a part of a result.
CREATE MATERIALIZED VIEW shipped_orders
REFRESH EVERY 10 MINUTE
ENGINE = MergeTree ORDER BY tuple()
AS SELECT *
FROM url(
    fraiseql,
    -- { orders(where: {status: {eq: SHIPPED}}) { id totalPrice placedAt } }
    url = 'http://127.0.0.1:8080/graphql?format=arrow&query=%7B%20orders(where%3A%20%7Bstatus%3A%20%7Beq%3A%20SHIPPED%7D%7D)%20%7B%20id%20totalPrice%20placedAt%20%7D%20%7D'
);
