//! The cloud's own certificate authority: EC P-256 keys in PKCS#8, all in PEM.
//!
//! It issues what the hosts need among themselves. It keeps no list of revoked
//! certificates: a host that leaves takes only its own certificate along, and
//! rotating the authority replaces them all.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::random::Source;
use crate::{Error, Vault};

const CA_DAYS: u32 = 3653;

/// Hosts whose clocks are behind must accept a certificate that was made just now.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// What a certificate of ours says, kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issued {
    /// Digest of the authority's certificate; empty for an authority.
    issuer: String,
    common_name: String,
    names: Vec<String>,
    ips: Vec<IpAddr>,
    pub(crate) expires: Timestamp,
    days: u32,
}

/// A certificate and its key, both PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) issued: Issued,
}

/// What a leaf is to say.
pub(crate) struct Wanted<'a> {
    pub(crate) ca: &'a str,
    pub(crate) common_name: &'a str,
    pub(crate) names: &'a [String],
    pub(crate) ips: &'a [IpAddr],
    pub(crate) days: u32,
}

/// An authority, unless there is one: it is never replaced by itself.
pub(crate) fn authority(
    vault: &Vault,
    name: &str,
    common_name: &str,
    now: Timestamp,
) -> Result<Option<Pair>, Error> {
    if vault.get(&format!("{name}.crt")).is_some() {
        return Ok(None);
    }
    let failed = |source| Error::Certificate {
        name: name.to_owned(),
        source,
    };
    let mut params = params(vault, name, common_name, CA_DAYS, now)?;
    // Directly below it are only leaves.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let issued = Issued {
        issuer: String::new(),
        common_name: common_name.to_owned(),
        names: Vec::new(),
        ips: Vec::new(),
        expires: expiry(now, CA_DAYS),
        days: CA_DAYS,
    };
    Ok(Some(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        issued,
    }))
}

/// A leaf, unless there is one that will do.
pub(crate) fn leaf(
    vault: &Vault,
    name: &str,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<Option<Pair>, Error> {
    let part = |ending: &str| {
        let name = format!("{}.{ending}", wanted.ca);
        vault
            .get(&name)
            .map(|s| s.expose_secret().to_owned())
            .ok_or(Error::Unknown { name })
    };
    let ca = part("crt")?;
    let authority = blake3::hash(ca.as_bytes()).to_hex().to_string();
    if let Some(entry) = vault.entries.get(&format!("{name}.crt"))
        && vault.get(&format!("{name}.key")).is_some()
    {
        // One from elsewhere is its owner's to renew.
        let good = entry
            .facts
            .certificate
            .as_ref()
            .is_none_or(|is| will_do(is, wanted, &authority, now));
        if good {
            return Ok(None);
        }
    }
    let failed = |source| Error::Certificate {
        name: name.to_owned(),
        source,
    };
    let ca_key = KeyPair::from_pem(&part("key")?).map_err(failed)?;
    let ca = Issuer::from_ca_cert_pem(&ca, ca_key).map_err(failed)?;
    let mut params = params(vault, name, wanted.common_name, wanted.days, now)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Members of a cluster are each other's servers and clients with one certificate.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    for dns in wanted.names {
        params
            .subject_alt_names
            .push(SanType::DnsName(dns.as_str().try_into().map_err(failed)?));
    }
    params
        .subject_alt_names
        .extend(wanted.ips.iter().copied().map(SanType::IpAddress));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.signed_by(&key, &ca).map_err(failed)?;
    let issued = Issued {
        issuer: authority,
        common_name: wanted.common_name.to_owned(),
        names: wanted.names.to_vec(),
        ips: wanted.ips.to_vec(),
        expires: expiry(now, wanted.days),
        days: wanted.days,
    };
    Ok(Some(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        issued,
    }))
}

/// When a third of its time is left.
pub(crate) fn renewal(is: &Issued) -> Timestamp {
    let left = days(is.days) / 3;
    is.expires.checked_sub(left).unwrap_or(is.expires)
}

/// Same authority, all names and addresses, and a third of its time left.
fn will_do(is: &Issued, wanted: &Wanted<'_>, issuer: &str, now: Timestamp) -> bool {
    is.issuer == issuer
        && is.common_name == wanted.common_name
        && wanted.names.iter().all(|n| is.names.contains(n))
        && wanted.ips.iter().all(|i| is.ips.contains(i))
        && now < renewal(is)
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(count) * 24)
}

/// A time too far to be counted is as far as can be counted.
fn expiry(now: Timestamp, count: u32) -> Timestamp {
    now.checked_add(days(count)).unwrap_or(Timestamp::MAX)
}

fn params(
    vault: &Vault,
    name: &str,
    common_name: &str,
    days: u32,
    now: Timestamp,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let mut serial = [0; 16];
    Source::new(vault.seed, &format!("{name} serial")).fill(&mut serial)?;
    serial[0] = serial[0] & 0x3f | 0x40; // positive and of full length (RFC 5280, 4.1.2.2)
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    // rcgen's time is counted from a day it can make itself; ours, from the same one.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |t: Timestamp| Duration::from_secs(u64::try_from(t.as_second()).unwrap_or_default());
    params.not_before = epoch + since(now.checked_sub(BACK).unwrap_or(now));
    params.not_after = epoch + since(expiry(now, days));
    Ok(params)
}
