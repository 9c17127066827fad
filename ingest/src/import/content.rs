//! What tells a file's content from any other.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ImportError;

/// What tells a file's content from any other, whatever the file is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of all bytes, 64 hex digits in small letters.
    pub sha256: String,
    /// Length of the file.
    pub bytes: u64,
}

impl Content {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &Path) -> Result<Self, ImportError> {
        let io = |e| ImportError::io(file, e);
        let mut reader = File::open(file).map_err(io)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut block = vec![0; 256 * 1024];
        loop {
            let read = match reader.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(io(e)),
            };
            hash.update(&block[..read]);
            bytes += read as u64;
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { sha256, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_by_the_published_test_vector() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        // FIPS 180-2, appendix B.1.
        std::fs::write(&path, "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Content::of(&path).unwrap(), Content { sha256: sha256.into(), bytes: 3 });
        assert!(Content::of(folder.path()).unwrap_err().to_string().contains("cannot read"));
    }
}
