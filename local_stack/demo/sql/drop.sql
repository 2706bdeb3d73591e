-- What an earlier load of another scale left.

DROP TABLE IF EXISTS
    tb_region, tb_nation, tb_supplier, tb_customer, tb_part, tb_offer, tb_order, tb_line_item,
    tv_order, demo_load
CASCADE;
