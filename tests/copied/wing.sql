-- Values and masks that COPY has to escape or quote.
CREATE TABLE odd (id int PRIMARY KEY, slash text, quote varchar(12), comma char(8), clear text);
INSERT INTO odd
SELECT row_number() OVER (), v, left(v, 12), left(v, 8), v
FROM unnest(ARRAY[
  NULL, '', ' ', 'a', 'abc', 'abcdefghij', E'\\', E'\\N', E'\\.', E'\\\\', E'ab\\ncd', E'a\tb', E'\t', E'a\nb', E'\n',
  E'a\rb', E'\r\n', E'\b\f\v', E'a\x01b', 'x,y,z', '"', '"quoted"', 'it''s', '|', 'a|b|c|d', 'NULL', 'x', ';', E'\\t',
  E'end\\', E'\\x41', E'\\101', '(null)', '1', E'a\\,b', E',\\,"'
]) v;
GRANT SELECT ON odd TO clinic_proxy;
