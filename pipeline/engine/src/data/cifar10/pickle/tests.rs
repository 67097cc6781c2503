//! Small pickles written by hand, right and hostile.

use super::*;

fn error(program: &[u8]) -> String {
    read(&[b"\x80\x02", program].concat()).unwrap_err()
}

#[test]
fn integers_of_every_width_are_read() {
    // python: pickletools.dis of {'a': [1, 300, -2, 1 << 40, -(1 << 40), 0]} in protocol 2
    let program =
        b"\x80\x02}U\x01a](K\x01M\x2c\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xff\x8a\x00es.";
    let pickle = read(program).unwrap();
    assert_eq!(pickle.integers("a").unwrap(), [1, 300, -2, 1 << 40, -(1 << 40), 0]);
    assert_eq!((pickle.integers("b"), pickle.array("a")), (None, None));
}

#[test]
fn shared_and_recursive_values_are_no_trouble() {
    // l = [1]; {'a': l, 'b': l, 'self': the dictionary}
    let pickle = read(b"\x80\x02}q\x00(U\x01a]q\x01K\x01aU\x01bh\x01U\x04selfh\x00u.").unwrap();
    assert_eq!(pickle.integers("b").unwrap(), [1]);
}

#[test]
fn hostile_pickles_give_one_clear_error() {
    assert_eq!(read(b"(dp0\n.").unwrap_err(), "is not a pickle of protocol 2 to 5");
    assert_eq!(read(b"\x80\x06.").unwrap_err(), "is not a pickle of protocol 2 to 5");
    let cases: [(&[u8], &str); 14] = [
        (b"cos\nsystem\n(U\x02lstR.", "byte 2 asks for os.system; only numpy arrays of bytes are read, and nothing is executed"),
        (b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "asks for os.system"),
        (b"c__builtin__\neval\n.", "asks for __builtin__.eval"),
        (b"cnumpy\n\x1b[31m\n.", r"asks for numpy.\u{1b}[31m"),
        (b"ios\nsystem\n.", "is the opcode 0x69, which has no place in one"),
        (b"K\x01K\x01R.", "calls what can't be called"),
        (b"T\xff\xff\xff\x7fabc", "is followed by too few bytes; the file is truncated or damaged"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "is followed by too few bytes"),
        (b".", "needs a value that is not there"),
        (b"K\x01(0.", "needs a value that is not there"),
        (b"t.", "needs a mark that is not there"),
        (b"h\x07.", "recalls a value that was never remembered"),
        (b"K\x01r\xff\xff\xff\xff.", "remembers a value under a number that is too large"),
        (b"K\x01K\x01a.", "appends to what is no list"),
    ];
    for (program, expected) in cases {
        let error = error(program);
        assert!(error.contains(expected), "{error}, not {expected}");
    }
    assert!(error(&b"N".repeat(MAX_PUSHES + 1)).contains("is one value too many; at most 4000000 are read"));
    assert!(error(&b"(".repeat(MAX_PUSHES + 1)).contains("is one value too many"));
}

#[test]
fn bytes_can_t_be_multiplied_by_converting_them_again() {
    // One text of 1000 letters, encoded a hundred times.
    let mut program = b"c_codecs\nencode\nq\x00X\xe8\x03\x00\x00".to_vec();
    program.extend([b'x'; 1000]);
    program.extend(b"X\x06\x00\x00\x00latin1\x86q\x01R");
    program.extend(b"h\x00h\x01R".repeat(100));
    assert!(error(&program).contains("needs more memory than the file is worth"));
}
