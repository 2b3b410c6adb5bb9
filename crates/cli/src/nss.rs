//! Pins the name service of the C library to what a static binary has inside.
//!
//! glibc loads the modules that the host's `/etc/nsswitch.conf` names, even
//! into a static program, where another release's module crashes it
//! With the lookups pinned to `files` and `dns`, which
//! glibc 2.34 and later carry inside, that file is never obeyed. The price:
//! users known to LDAP only are not seen, which this program does not need.

#![expect(unsafe_code, reason = "glibc has no safe way to say this")]

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, line: *const c_char) -> c_int;
}

const LOOKUPS: [(&CStr, &CStr); 7] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
    (c"services", c"files"),
    (c"protocols", c"files"),
    (c"networks", c"files"),
    (c"initgroups", c"files"),
];

/// Must be the first thing in `main`, before any thread.
pub fn pin() {
    for (database, line) in LOOKUPS {
        // SAFETY: both are NUL-terminated and static; no other thread exists yet.
        unsafe {
            __nss_configure_lookup(database.as_ptr(), line.as_ptr());
        }
    }
}
