//! Rows through the RowMasker, and tokens: the cost a masked result adds to forwarding one.

#![expect(
    clippy::panic,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgveil::mask::token::{Shape, TokenKey, TokenKind};
use pgveil::mask::{
    ColumnType, CompiledMask, FieldShape, Mask, OutputRule, Partial, RowMasker, TokenColumn,
    Transform,
};
use pgveil::pg::types::{Format, oid};

fn text() -> ColumnType {
    ColumnType {
        oid: oid::TEXT,
        typmod: -1,
        sql: "pg_catalog.text".into(),
        collation: None,
        element: None,
        domain: false,
    }
}

fn rule(transform: Transform) -> OutputRule {
    OutputRule {
        transform,
        expect: None,
        origin: None,
        name: None,
    }
}

fn masks() -> Vec<Arc<CompiledMask>> {
    let email = Partial {
        keep_first: 1,
        hide_length: Some(3),
        stop_at: Some("@".to_owned()),
        min_hidden: 0,
        ..Partial::default()
    };
    let phone = Partial {
        keep_first: 3,
        keep_last: 4,
        ..Partial::default()
    };
    let name = Partial {
        keep_first: 1,
        ..Partial::default()
    };
    [email, phone, name]
        .into_iter()
        .map(|partial| CompiledMask::compile(&Mask::Partial(partial), &text()))
        .map(|mask| Arc::new(mask.unwrap_or_else(|e| panic!("{e}"))))
        .collect()
}

const VALUES: [&str; 10] = [
    "1000042",
    "ada.lovelace@example.com",
    "13800138000",
    "Ada Lovelace",
    "grace@example.org",
    "13912345678",
    "Grace Hopper",
    "2024-02-29",
    "Paris",
    "a short note",
];

fn row() -> Vec<u8> {
    let mut body = 10_u16.to_be_bytes().to_vec();
    for value in VALUES {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    body
}

fn masker(masked: &[usize]) -> RowMasker {
    let masks = masks();
    let rules: Vec<OutputRule> = (0..VALUES.len())
        .map(
            |at| match masks.get((at + 2) % 3).filter(|_| masked.contains(&at)) {
                // VALUES has an address, a phone and a name in columns 1 to 3 and 4 to 6.
                Some(mask) => rule(Transform::Mask(Arc::clone(mask))),
                None => rule(Transform::Pass),
            },
        )
        .collect();
    let field = FieldShape {
        table: 0,
        attnum: 0,
        type_oid: oid::TEXT,
        typmod: -1,
        format: Format::Text,
    };
    RowMasker::new(&rules, &[field; 10]).unwrap_or_else(|e| panic!("{e}"))
}

fn rows(criterion: &mut Criterion) {
    let row = row();
    let length = u32::try_from(row.len().saturating_add(4)).unwrap_or(0);
    let frame = [b"D", &length.to_be_bytes()[..], &row].concat();
    let mut group = criterion.benchmark_group("row of 10 columns");
    group.throughput(Throughput::Elements(1));
    let mut out = Vec::with_capacity(1 << 16);
    group.bench_function("copied", |bencher| {
        bencher.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(&frame));
        });
    });
    for (name, masked) in [
        ("0 masked", &[][..]),
        ("1 masked", &[2]),
        ("6 masked", &[1, 2, 3, 4, 5, 6]),
    ] {
        let masker = masker(masked);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                masker.mask_row(black_box(&frame), &mut out)
            });
        });
    }
    group.finish();
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("value");
    let mut out = Vec::with_capacity(256);
    for (mask, (name, value)) in masks().iter().zip([
        ("address", "ada.lovelace@example.com"),
        ("phone", "13800138000"),
        ("name, Chinese", "张三丰"),
    ]) {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                mask.apply(black_box(value.as_bytes()), &mut out);
            });
        });
    }
    let Some(key) = TokenKey::new("aaaa", zeroize::Zeroizing::new([7; 64])) else {
        panic!("a key's id");
    };
    let key = Arc::new(key);
    for (kind, name) in [(TokenKind::Siv, "siv"), (TokenKind::Hmac, "hmac")] {
        let column = TokenColumn::bind("person", kind, &[Arc::clone(&key)], &text());
        let column = column.unwrap_or_else(|e| panic!("{e}"));
        for length in [16, 64] {
            let value = vec![b'x'; length];
            group.bench_function(format!("{name} token of {length} bytes"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    column.encode_wire(black_box(&value), Format::Text, &mut out)
                });
            });
        }
    }
    let shapes = [
        (Shape::Digits, "digits", "4111111111111111"),
        (
            Shape::BankCard { keep_bin: true },
            "bank_card",
            "4111111111111111",
        ),
        (Shape::CnId, "cn_id", "11010519491231002X"),
        (Shape::Phone, "phone", "13812345678"),
    ];
    for (shape, name, value) in shapes {
        let kind = TokenKind::Ff1(shape);
        let column = TokenColumn::bind("person", kind, &[Arc::clone(&key)], &text());
        let column = column.unwrap_or_else(|e| panic!("{e}"));
        group.bench_function(format!("ff1 token, {name} of {}", value.len()), |bencher| {
            bencher.iter(|| {
                out.clear();
                column.encode_wire(black_box(value.as_bytes()), Format::Text, &mut out)
            });
        });
    }
    let integers = ColumnType {
        oid: oid::INT8,
        sql: "pg_catalog.int8".into(),
        ..text()
    };
    let column = TokenColumn::bind("person", TokenKind::Ff1Integer, &[key], &integers);
    let column = column.unwrap_or_else(|e| panic!("{e}"));
    for (name, value) in [("int4", 1_958_372_641_i64), ("int8", 7_294_610_385_529_174)] {
        group.bench_function(format!("ff1 token, integer of {name}"), |bencher| {
            let value = value.to_be_bytes();
            bencher.iter(|| {
                out.clear();
                column.encode_wire(black_box(&value), Format::Binary, &mut out)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rows, values);
criterion_main!(benches);
