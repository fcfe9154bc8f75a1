create table orders (id bigserial primary key, item text not null, at timestamptz not null default now());
insert into orders (item) values ('coffee'), ('cake');
