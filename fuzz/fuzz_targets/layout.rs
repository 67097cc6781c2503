//! Names in a dataset of images: every file is one example, of a class that has examples to train on.
#![no_main]

use engine::fuzzing::layout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (folders, files): (Vec<_>, Vec<_>) = text.lines().map(str::to_owned).partition(|name| name.ends_with('/'));
    let folders: Vec<_> = folders.iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
    let n = files.len();
    match layout(files, &folders) {
        Ok((classes, examples)) => {
            assert_eq!(examples.len(), n);
            assert!((1..=256).contains(&classes.len()) && classes.is_sorted());
            for (i, class) in classes.iter().enumerate() {
                let trained = examples.iter().find(|(is_test, c, _)| !is_test && usize::from(*c) == i);
                assert!(trained.is_some_and(|(.., name)| name.contains(class.as_str())), "{class:?}");
            }
            assert!(examples.iter().all(|(_, class, _)| usize::from(*class) < classes.len()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
