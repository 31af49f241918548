//! Addresses: the network stays, the host goes.

use super::column_type::ColumnType;
use super::mask::MaskError;
use super::sql_text::{call, case, cast, op};

fn check(v4: u8, v6: u8) -> Result<(), MaskError> {
    if v4 > 31 || v6 > 127 {
        return Err(MaskError::new(
            "network keeps at most 31 bits of an IPv4 address and 127 of an IPv6 one",
        ));
    }
    Ok(())
}

fn is_v4(x: &str) -> String {
    op(&call("family", &[x]), "=", "4")
}

/// Host bits zeroed; the result is a host address.
pub(super) fn inet(v4: u8, v6: u8, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    check(v4, v6)?;
    let x = &ty.as_type(x, "inet");
    let host = |kept: u8, whole: &str| {
        let network = call("network", &[&call("set_masklen", &[x, &kept.to_string()])]);
        call("set_masklen", &[&cast(&network, "inet"), whole])
    };
    Ok(case(&[(is_v4(x), host(v4, "32"))], &host(v6, "128")))
}

/// A network smaller than the mask's becomes the mask's; larger ones stay.
pub(super) fn cidr(v4: u8, v6: u8, ty: &ColumnType, x: &str) -> Result<String, MaskError> {
    check(v4, v6)?;
    let x = &ty.as_type(x, "cidr");
    let widen = |kept: u8| {
        let longer = op(&call("masklen", &[x]), ">", &kept.to_string());
        case(&[(longer, call("set_masklen", &[x, &kept.to_string()]))], x)
    };
    Ok(case(&[(is_v4(x), widen(v4))], &widen(v6)))
}
