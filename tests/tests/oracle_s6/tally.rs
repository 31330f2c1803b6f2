//! `max-death-tally`, and the deaths that are counted.

use tests::oracle::s6::{different, same};
use tests::oracle::{directory, ends, words};

fn finish(deaths: u32) -> String {
    format!("note finish $1\nexec {} 3600 {deaths} 0-255 true", words("s6-permafailon"))
}

#[test]
fn deaths_beyond_the_tally_are_deaths_as_any_other() {
    for tally in ["1\n", "0\n", "99999\n", "many\n"] {
        same(&directory(&ends(3, "exit 1")).file("max-death-tally", tally), |player| {
            for _ in 0..4 {
                player.see("run");
            }
            player.until_up();
        });
    }
}

#[test]
fn so_many_deaths_are_the_end() {
    // There it is finish that says so, by what s6-supervise has written down; here the definition.
    let limit = "[restart]\ngive-up = { deaths = 3, within = \"1h\" }\n";
    let files =
        directory("note run\nexit 1").script("finish", &finish(3)).file("service.d/limit.toml", limit);
    same(&files.file("max-death-tally", "3\n"), |player| {
        for _ in 0..3 {
            player.see("run");
            player.see("finish 1");
        }
        player.until_down();
    });
}

#[test]
fn a_finish_that_counts_deaths_with_s6_permafailon() {
    let why = "it counts in supervise/death_tally, which s6-supervise writes into the service directory; we write \
               nothing there, and deaths are counted by [restart] give-up";
    different(why, &directory(&ends(3, "exit 1")).script("finish", &finish(2)), |player| {
        for _ in 0..2 {
            player.see("run");
            player.see("finish 1");
        }
        if player.ours {
            player.see("run");
            player.see("finish 1");
            player.see("run");
            player.until_up();
        } else {
            player.until_down();
        }
    });
}
