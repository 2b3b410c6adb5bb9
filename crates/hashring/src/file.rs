//! The file of a ring, as object servers and their clients read it: gzip around
//! the magic word `R1NG`, the format's version 1, a header in JSON behind its
//! length, and a table of ids for each replica. Checked against the reader of
//! the servers themselves by a lab story.
//!
//! The header has two words of our own, which those readers pass over: `moved`,
//! and the hosts' names as the devices' `meta`. So the file is all that is known
//! of a ring, and there is nothing beside it that could be lost or be older.

use std::io::{self, Read, Write};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use serde_json::{Value, json};

use crate::{Device, MOST_PART_POWER, Ring};

const MAGIC: &[u8; 4] = b"R1NG";
const VERSION: u16 = 1;
/// The hash of a name has that many bits; what a part's number has not is shifted out.
const BITS: u8 = 32;
/// More than the largest ring has, in bytes: what claims to be larger is not read.
const MOST: u64 = 1 << 28;

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Ring {
    /// Its file. The same ring gives the same bytes.
    ///
    /// # Errors
    /// None that is known: a vector takes all that is written to it.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let devs: Vec<Value> = self.devices.iter().enumerate().map(header_of).collect();
        let header = json!({
            "byteorder": "little",
            "devs": devs,
            "moved": self.moved,
            "part_shift": BITS - self.part_power(),
            "replica_count": self.rows.len(),
            "version": self.version,
        })
        .to_string();
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::default());
        gzip.write_all(MAGIC)?;
        gzip.write_all(&VERSION.to_be_bytes())?;
        let length = u32::try_from(header.len()).map_err(|_| bad("the header is too long"))?;
        gzip.write_all(&length.to_be_bytes())?;
        gzip.write_all(header.as_bytes())?;
        for row in &self.rows {
            let bytes: Vec<u8> = row.iter().flat_map(|id| id.to_le_bytes()).collect();
            gzip.write_all(&bytes)?;
        }
        gzip.finish()
    }

    /// Reads a file, also one that another tool made.
    ///
    /// # Errors
    /// What is wrong with it: it is no ring, it is cut off, a table names a device that is
    /// not there, or its last replica is not of all parts.
    pub fn decode(file: &[u8]) -> io::Result<Self> {
        let mut data = GzDecoder::new(file).take(MOST);
        let mut start = [0; 10];
        data.read_exact(&mut start)?;
        let (magic, rest) = start.split_at(4);
        let (version, length) = rest.split_at(2);
        if magic != MAGIC || version != VERSION.to_be_bytes() {
            return Err(bad("it is not a ring of version 1"));
        }
        let length = <[u8; 4]>::try_from(length).map_err(|_| bad("it is cut off"))?;
        let mut header = String::new();
        data.by_ref()
            .take(u64::from(u32::from_be_bytes(length)))
            .read_to_string(&mut header)?;
        let header: Value = serde_json::from_str(&header)?;
        let shift = header["part_shift"].as_u64().and_then(|s| u8::try_from(s).ok());
        let power = shift
            .and_then(|s| BITS.checked_sub(s))
            .filter(|p| *p <= MOST_PART_POWER);
        let power = power.ok_or_else(|| bad("it has no number of parts, or too many"))?;
        let replicas = header["replica_count"].as_u64().filter(|r| (1..=64).contains(r));
        let replicas = replicas.ok_or_else(|| bad("it has no number of replicas"))?;
        let big = header["byteorder"] == "big";
        let devices: Vec<Option<Device>> = header["devs"]
            .as_array()
            .map_or_else(Vec::new, |devs| devs.iter().map(device).collect());
        let mut rows = Vec::new();
        for _ in 0..replicas {
            let mut bytes = vec![0; 2 << power];
            data.read_exact(&mut bytes)?;
            let ids = bytes.chunks_exact(2).map(|b| match (b, big) {
                ([a, b], true) => u16::from_be_bytes([*a, *b]),
                ([a, b], false) => u16::from_le_bytes([*a, *b]),
                _ => 0,
            });
            rows.push(ids.collect::<Vec<u16>>());
        }
        // Only at the end its sum is compared.
        if data.read(&mut [0])? != 0 {
            return Err(bad("there is more in it than a ring"));
        }
        let known = |id: &u16| matches!(devices.get(usize::from(*id)), Some(Some(_)));
        if !rows.iter().flatten().all(known) {
            return Err(bad("it names a device that it does not have"));
        }
        Ok(Self {
            devices,
            rows,
            version: header["version"].as_u64().unwrap_or_default(),
            moved: header["moved"].as_u64().unwrap_or_default(),
        })
    }
}

fn header_of((id, device): (usize, &Option<Device>)) -> Value {
    let Some(device) = device else { return Value::Null };
    json!({
        "device": device.name,
        "id": id,
        "ip": device.address,
        "meta": device.host,
        "port": device.port,
        "region": device.region,
        "replication_ip": device.address,
        "replication_port": device.port,
        "weight": f64::from(device.weight),
        "zone": device.zone,
    })
}

fn device(value: &Value) -> Option<Device> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let number = |key: &str| value[key].as_u64().and_then(|n| u32::try_from(n).ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a weight is a number of some thousands"
    )]
    let weight = value["weight"].as_f64().map(|w| w.round().clamp(0.0, 1e9) as u32);
    let address = text("ip")?;
    Some(Device {
        // Of another tool's ring the host is known by its address.
        host: text("meta")
            .filter(|m| !m.is_empty())
            .unwrap_or_else(|| address.clone()),
        name: text("device")?,
        port: number("port").and_then(|p| u16::try_from(p).ok())?,
        region: number("region").unwrap_or(1),
        zone: number("zone").unwrap_or_default(),
        weight: weight.unwrap_or_default(),
        address,
    })
}
