ANALYZE tb_region, tb_nation, tb_supplier, tb_customer, tb_part, tb_offer, tb_order, tb_line_item;
