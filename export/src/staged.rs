//! A file that appears complete or not at all, whatever is written into it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// A file on its way. Whoever watches the folder sees it once it is whole: CapFrameX, for one, reads what appears within
/// 200 ms, and never again what it could not parse. Dropped before it appears, it leaves nothing behind.
#[derive(Debug)]
pub struct StagedFile {
    file: fs::File,
    beside: PathBuf,
    path: PathBuf,
    appeared: bool,
}

impl StagedFile {
    /// Begins the file as `<path>.tmp`, in the same folder, which is made where it is missing.
    ///
    /// # Errors
    /// When the folder or the file cannot be made; the error names it.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.file_name().is_none() {
            let why = format!("{} names no file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let file = fs::File::create(&beside)?;
        Ok(Self { file, beside, path: path.into(), appeared: false })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn appear(mut self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)?;
        self.appeared = true;
        Ok(())
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.appeared {
            // What failed before is the error to tell; a left-over is only untidy.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.csv");
        let mut staged = StagedFile::create(&path).unwrap();
        staged.write_all(b"Appl").unwrap();
        assert!(folder.path().join("new/a.csv.tmp").exists());
        drop(staged);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        let mut staged = StagedFile::create(&path).unwrap();
        staged.write_all(b"all").unwrap();
        staged.appear().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        assert!(StagedFile::create(Path::new("/")).is_err());
    }
}
