//! What a file's contents are known by.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// SHA-256 of a file, 64 hexadecimal digits.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    Ok(format!("{:x}", feed(Sha256::new(), path)?))
}

/// Git's object name of a file, 40 hexadecimal digits: SHA-1 over "blob", the length and the contents.
pub(super) fn git_blob_of(path: &Path) -> io::Result<String> {
    let length = path.metadata()?.len();
    Ok(format!("{:x}", feed(Sha1::new_with_prefix(format!("blob {length}\0")), path)?))
}

fn feed<H: Digest>(mut hash: H, path: &Path) -> io::Result<sha2::digest::Output<H>> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git_hash_object() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(sha256_of(&path).unwrap(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(git_blob_of(&path).unwrap(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
