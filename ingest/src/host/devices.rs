//! Devices that come and go, by name.

/// What is remembered of each device of a list that the kernel writes anew at each read.
#[derive(Debug)]
pub(super) struct Devices<T> {
    known: Vec<Device<T>>,
    /// Where the next device of the list is, if the list is what it was.
    next: usize,
}

#[derive(Debug)]
struct Device<T> {
    name: String,
    listed: bool,
    state: T,
}

impl<T> Default for Devices<T> {
    fn default() -> Self {
        Self { known: Vec::new(), next: 0 }
    }
}

impl<T> Devices<T> {
    /// The device of that name, listed again or for the first time.
    pub(super) fn listed(&mut self, name: &str, new: impl FnOnce() -> T) -> (&str, &mut T) {
        let at = match self.known.get(self.next) {
            Some(device) if device.name == name => self.next,
            _ => self.known.iter().position(|d| d.name == name).unwrap_or_else(|| {
                self.known.push(Device { name: name.to_owned(), listed: true, state: new() });
                self.known.len() - 1
            }),
        };
        self.next = at + 1;
        let device = &mut self.known[at];
        device.listed = true;
        (&device.name, &mut device.state)
    }

    /// Ends the list: what was not in it is gone, and forgotten. Its return is that of a new device.
    pub(super) fn end_of_list(&mut self, mut gone: impl FnMut(&str, &T)) {
        self.next = 0;
        self.known.retain_mut(|device| {
            if !device.listed {
                gone(&device.name, &device.state);
            }
            std::mem::take(&mut device.listed)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_comes_back_is_new() {
        let mut devices = Devices::default();
        let mut list = |names: &[&str]| {
            let new = names.iter().map(|n| {
                let mut is_new = false;
                *devices.listed(n, || ((), is_new = true).0).1 = ();
                is_new
            });
            let new = new.collect::<Vec<_>>();
            let mut gone = Vec::new();
            devices.end_of_list(|name, ()| gone.push(name.to_owned()));
            (new, gone)
        };
        assert_eq!(list(&["a", "b", "c"]), (vec![true; 3], vec![]));
        assert_eq!(list(&["c", "d", "a"]), (vec![false, true, false], vec!["b".to_owned()]));
        assert_eq!(list(&["a", "b", "c", "d"]).0, [false, true, false, false]);
    }
}
