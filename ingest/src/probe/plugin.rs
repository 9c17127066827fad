//! Where the tracer's library is.

use std::path::{Path, PathBuf};

use super::ProbeError;

/// File name of the tracer's library.
pub const PLUGIN_FILE: &str = "libgstbl.so";

/// Finds the folder of the tracer's library: `configured` (`BL_GST_PLUGIN_DIR`) and nowhere else if it is given; else
/// near the executable, as installed (`../lib/bl/gstreamer`, or `gstreamer` beside it) or as built by
/// `make gst-plugin` (`../gstreamer`).
///
/// # Errors
/// [`ProbeError::NoPlugin`] with the folders that were looked into.
pub fn find_plugin(executable: &Path, configured: Option<&Path>) -> Result<PathBuf, ProbeError> {
    let folders = match configured {
        Some(folder) => vec![folder.to_owned()],
        None => near(executable),
    };
    match folders.iter().find(|folder| folder.join(PLUGIN_FILE).is_file()) {
        // GStreamer takes a relative path as it is, but the command may change its folder.
        Some(folder) => Ok(folder.canonicalize().unwrap_or_else(|_| folder.clone())),
        None => Err(ProbeError::NoPlugin(folders)),
    }
}

fn near(executable: &Path) -> Vec<PathBuf> {
    let folder = executable.parent().unwrap_or(Path::new("."));
    vec![
        folder.with_file_name("lib/bl/gstreamer"),
        folder.join("gstreamer"),
        folder.with_file_name("gstreamer"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_found_as_installed_as_built_and_as_configured() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let put = |folder: &str| {
            let folder = root.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(PLUGIN_FILE), b"").unwrap();
            folder
        };
        let built = put("src/target/gstreamer");
        let executable = root.join("src/target/debug/bl");
        assert_eq!(find_plugin(&executable, None).unwrap(), built);
        let installed = put("usr/lib/bl/gstreamer");
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        assert_eq!(find_plugin(&root.join("usr/bin/bl"), None).unwrap(), installed);
        assert_eq!(find_plugin(&executable, Some(&installed)).unwrap(), installed);

        let elsewhere = root.join("elsewhere");
        let error = find_plugin(&executable, Some(&elsewhere)).unwrap_err();
        assert!(matches!(&error, ProbeError::NoPlugin(looked) if *looked == [elsewhere]));
        assert!(error.to_string().contains("BL_GST_PLUGIN_DIR"), "{error}");
    }
}
