//! Networks of `match.cidr`.

use std::net::IpAddr;

/// `10.20.0.0/16`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// An address with a prefix length; without one, that single address. Host bits must be zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(longest), |p| p.parse().ok())?;
        let network = Self { address, prefix };
        (prefix <= longest && network.masked(address) == Some(bits(address))).then_some(network)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack listener shows IPv4 clients as ::ffff:a.b.c.d.
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && self.masked(address) == Some(bits(self.address))
    }

    fn masked(&self, address: IpAddr) -> Option<u128> {
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let shift = u32::from(longest.checked_sub(self.prefix)?);
        Some(
            bits(address)
                .checked_shr(shift)
                .unwrap_or(0)
                .checked_shl(shift)
                .unwrap_or(0),
        )
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn networks_hold_their_addresses() {
        let contains = |network: &str, address: &str| {
            Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("10.20.0.0/16", "10.20.255.1"));
        assert!(!contains("10.20.0.0/16", "10.21.0.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("10.20.0.0/16", "::ffff:10.20.0.1"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(contains("::/0", "2001:db8:1::1"));
    }

    #[test]
    fn host_bits_and_long_prefixes_are_refused() {
        for text in [
            "10.20.0.1/16",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "x",
            "::1/64",
        ] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
