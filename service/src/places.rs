//! Where an init that is not a machine's keeps its state, and so where `svctl` looks for it.

/// The places for a user's own init, the best first. `runtime` is `XDG_RUNTIME_DIR` (XDG Base Directory
/// Specification), which goes away with the user's last session.
#[must_use]
pub fn of_user(user: u32, runtime: Option<&str>) -> Vec<String> {
    let runtime = runtime.filter(|place| place.starts_with('/')).map(|place| format!("{place}/mainstay"));
    runtime.into_iter().chain([format!("/tmp/mainstay-{user}")]).collect()
}

/// The places for the init of a container, the best first: some have no `/run` that can be written.
#[must_use]
pub fn of_container(user: u32, runtime: Option<&str>) -> Vec<String> {
    let mut places = vec![crate::RUN_DIRECTORY.to_owned()];
    let mut own = of_user(user, runtime);
    let last = own.pop();
    places.extend(own);
    places.push(format!("/dev/shm/mainstay-{user}"));
    places.extend(last);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_runtime_directory_is_none() {
        assert_eq!(of_user(7, Some("/run/user/7")), ["/run/user/7/mainstay", "/tmp/mainstay-7"]);
        assert_eq!(of_user(7, Some("here")), ["/tmp/mainstay-7"]);
        assert_eq!(of_container(0, None), ["/run", "/dev/shm/mainstay-0", "/tmp/mainstay-0"]);
    }
}
