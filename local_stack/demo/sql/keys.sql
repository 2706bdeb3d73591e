-- Keys and indexes, once the rows are there.

ALTER TABLE tb_region ADD PRIMARY KEY (pk_region);
ALTER TABLE tb_nation ADD PRIMARY KEY (pk_nation);
ALTER TABLE tb_supplier ADD PRIMARY KEY (pk_supplier), ADD UNIQUE (id);
ALTER TABLE tb_customer ADD PRIMARY KEY (pk_customer), ADD UNIQUE (id);
ALTER TABLE tb_part ADD PRIMARY KEY (pk_part), ADD UNIQUE (id);
ALTER TABLE tb_order ADD PRIMARY KEY (pk_order), ADD UNIQUE (id);
ALTER TABLE tb_line_item ADD PRIMARY KEY (pk_line_item), ADD UNIQUE (id);

-- Below scale 0.01 TPC-H offers a part twice by the same supplier: no key.
CREATE INDEX ON tb_offer (fk_part);
CREATE INDEX ON tb_order (fk_customer);
CREATE INDEX ON tb_line_item (fk_order);
