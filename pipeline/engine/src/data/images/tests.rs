//! Small datasets of images made here, right and hostile.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use spec::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::data::defaults;

fn png(colour: [u8; 3], width: u32, height: u32) -> Vec<u8> {
    encoded(RgbImage::from_pixel(width, height, Rgb(colour)), ImageFormat::Png)
}

fn encoded(image: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(vec![]);
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in files {
        if name.ends_with('/') {
            zip.add_directory(name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn config(changes: &[(&'static str, Value)]) -> Config {
    let mut config = defaults(&choice());
    config.insert("images", Value::Text("set".into()));
    config.insert("image_size", Value::Int(2));
    for (key, value) in changes {
        config.insert(*key, value.clone());
    }
    config
}

/// A data directory with `set.zip`, and beside it a cache.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new(files: &[(String, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("data/set.zip"), zip(files)).unwrap();
        Fixture(dir)
    }

    fn load(&self, changes: &[(&'static str, Value)]) -> Result<Dataset, String> {
        let places = Places::new(Some(&self.0.path().join("data")), Some(self.0.path().join("cache")), None);
        load(&config(changes), &places).map_err(|e| e.to_string())
    }

    fn decoded(&self) -> Vec<std::path::PathBuf> {
        let files = fs::read_dir(self.0.path().join("cache/pipeline/decoded"));
        files.map(|f| f.map(|f| f.unwrap().path()).collect()).unwrap_or_default()
    }
}

fn error_of(files: &[(&str, Vec<u8>)]) -> String {
    let files: Vec<_> = files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect();
    Fixture::new(&files).load(&[]).unwrap_err()
}

/// Two classes in two parts, in an order that is not that of their names.
fn divided() -> Vec<(String, Vec<u8>)> {
    let names = ["test/cat/1.png", "train/dog/2.png", "train/cat/b.PNG", "train/cat/a.png", "train/dog/10.png", "test/dog/1.png"];
    names.into_iter().zip(1..).map(|(name, i)| (name.to_owned(), png([i, 2 * i, 3 * i], 2, 2))).collect()
}

fn firsts(part: &Part) -> Vec<u8> {
    part.examples.chunks(12).map(|e| e[0]).collect()
}

#[test]
fn examples_are_in_the_order_of_their_names() {
    let set = Fixture::new(&divided()).load(&[]).unwrap();
    assert_eq!((set.name.as_str(), set.shape.as_slice(), set.class_names.join(" ").as_str()), ("set", &[2, 2, 3][..], "cat dog"));
    assert_eq!((firsts(&set.train), set.train.labels.as_slice()), (vec![4, 3, 5, 2], &[0, 0, 1, 1][..]));
    assert_eq!((firsts(&set.test), set.test.labels.as_slice()), (vec![1, 6], &[0, 1][..]));
    assert_eq!(set.train.examples[..12], [4, 8, 12].repeat(4));
}

#[test]
fn a_folder_around_and_hidden_files_make_no_difference() {
    let plain = Fixture::new(&divided()).load(&[]).unwrap();
    let mut files: Vec<_> = divided().into_iter().rev().map(|(name, content)| (format!("top/{name}"), content)).collect();
    files.push(("top/train/cat/.DS_Store".into(), vec![1]));
    files.push(("__MACOSX/top/train/cat/._a.png".into(), vec![1]));
    assert_eq!(Fixture::new(&files).load(&[]).unwrap().checksum, plain.checksum);
    // The same as a folder.
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in divided() {
        let path = dir.path().join("set").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let places = Places::new(Some(dir.path()), None, None);
    assert_eq!(load(&config(&[]), &places).unwrap().checksum, plain.checksum);
}

#[test]
fn classes_alone_are_divided_by_a_seed() {
    let names = (0..20).flat_map(|i| [format!("set/a/{i:02}.png"), format!("set/b/{i:02}.png")]);
    let files: Vec<_> = names.zip(0..).map(|(name, i)| (name, png([i, 0, 0], 2, 2))).collect();
    let fixture = Fixture::new(&files);
    let load =
        |fraction: f64, seed: i64| fixture.load(&[("test_fraction", Value::Float(fraction)), ("test_seed", Value::Int(seed))]).unwrap();
    let set = load(0.25, 0);
    assert_eq!(set.test.labels, [[0; 5], [1; 5]].concat());
    let mut all = [firsts(&set.train), firsts(&set.test)].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..40));
    assert_eq!(load(0.25, 0).checksum, set.checksum);
    assert_ne!(load(0.25, 1).checksum, set.checksum);
    assert_eq!((load(0.0, 0).test.labels.len(), load(0.0, 0).train.labels.len()), (0, 40));
    // All of them are one decoded set.
    assert_eq!(fixture.decoded().len(), 1);
    let single = Fixture::new(&[("a/1.png".into(), png([1; 3], 2, 2)), ("b/1.png".into(), png([2; 3], 2, 2))]);
    assert_eq!(single.load(&[("test_fraction", Value::Float(0.9))]).unwrap().train.labels, [0, 1]);
}

#[test]
fn images_take_the_form_that_is_asked_for() {
    // The left half black, the right half white, to be halved: the triangle filter makes a new pixel of four old ones with weights
    // 1/8, 3/8, 3/8, 1/8, so that the second is 255/8 = 31.9 and the third 7·255/8 = 223.1.
    let halves = GrayImage::from_fn(8, 8, |x, _| Luma([if x < 4 { 0 } else { 255 }]));
    let files = [("a/1.png".to_owned(), encoded(halves, ImageFormat::Png)), ("b/1.png".to_owned(), png([100, 200, 50], 16, 4))];
    let fixture = Fixture::new(&files);
    let grey = ("image_channels", Value::Text("grey".into()));
    let set = fixture.load(&[("image_size", Value::Int(4)), grey]).unwrap();
    assert_eq!(set.shape, [4, 4, 1]);
    assert!(set.train.examples[..4].iter().zip([0u8, 32, 223, 255]).all(|(a, b)| a.abs_diff(b) <= 1), "{:?}", &set.train.examples[..4]);
    // 0.2126 · 100 + 0.7152 · 200 + 0.0722 · 50 = 167.91
    assert_eq!(set.train.examples[16..], [168; 16]);
    let set = fixture.load(&[("image_size", Value::Int(4))]).unwrap();
    assert_eq!((set.shape.as_slice(), &set.train.examples[48..51]), (&[4, 4, 3][..], &[100, 200, 50][..]));
    assert_eq!(fixture.decoded().len(), 2);
}

#[test]
fn jpegs_are_read_whatever_their_name() {
    let jpeg = encoded(RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])), ImageFormat::Jpeg);
    let files = [("a/1.JPEG".to_owned(), jpeg.clone()), ("a/2.png".to_owned(), jpeg)];
    let set = Fixture::new(&files).load(&[("test_fraction", Value::Float(0.0))]).unwrap();
    assert!(set.train.examples.chunks(3).all(|p| p[0].abs_diff(200) < 4 && p[1].abs_diff(100) < 4 && p[2].abs_diff(50) < 4));
}

#[test]
fn the_second_time_nothing_is_decoded() {
    let fixture = Fixture::new(&divided());
    let first = fixture.load(&[]).unwrap();
    let [kept] = &fixture.decoded()[..] else { panic!() };
    let time = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let written = time(kept);
    let second = fixture.load(&[]).unwrap();
    assert_eq!((&second.checksum, &second.train, &second.test), (&first.checksum, &first.train, &first.test));
    assert_eq!((second.class_names, second.shape, time(kept)), (first.class_names, first.shape, written));
    let places = Places::new(Some(&fixture.0.path().join("data")), None, None);
    assert_eq!(load(&config(&[]), &places).unwrap().checksum, first.checksum);
    fs::write(kept, "damaged").unwrap();
    assert_eq!(fixture.load(&[]).unwrap().checksum, first.checksum);
    assert!(kept.metadata().unwrap().len() > 72);
}

#[test]
fn layouts_of_another_kind_give_one_clear_error() {
    let good = || png([1; 3], 2, 2);
    let expect = |files: &[&str], expected: &str| {
        let files: Vec<_> = files.iter().map(|name| (*name, if name.ends_with('/') { vec![] } else { good() })).collect();
        let error = error_of(&files);
        assert!(error.contains(expected), "{error}, not {expected}");
    };
    expect(&[], "set.zip: holds no images; expected CLASS/FILE everywhere, or train/CLASS/FILE and test/CLASS/FILE");
    expect(&["a.png"], "a.png: is not where the others are; expected CLASS/FILE");
    expect(&["a/1.png", "b/c/1.png"], "b/c/1.png: is not where the others are");
    expect(&["a/1.png", "a/notes.txt"], "a/notes.txt: is neither .png nor .jpg nor .jpeg");
    expect(&["train/1.png", "test/1.png"], "test/1.png: is in no class");
    expect(&["train/a/1.png", "valid/a/1.png"], "valid/a/1.png: is in `valid`; there are the parts train and test (validation");
    expect(&["train/a/1.png"], "has images in train, but none in test");
    expect(&["test/a/1.png", "test/b/1.png"], "has images in test, but none in train");
    expect(&["train/a/1.png", "test/b/1.png"], "has the class `b` in test, but not in train");
    expect(&["a/1.png", "b/"], "b: is a class without images; remove it or fill it");
    expect(&["top/train/a/1.png", "top/test/a/1.png", "top/train/b/"], "top/train/b: is a class without images");
    expect(&["a/1.png", "a/./1.png"], "a/1.png: is there twice");
    let many: Vec<String> = (0..257).map(|i| format!("c{i}/1.png")).collect();
    expect(&many.iter().map(String::as_str).collect::<Vec<_>>(), "has 257 classes; at most 256 are supported");
}

/// A part of a PNG file.
fn chunk(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(content);
    [&u32::try_from(content.len()).unwrap().to_be_bytes()[..], kind, content, &crc.sum().to_be_bytes()].concat()
}

/// A PNG header alone, for 8 bits of this colour type.
fn header(width: u32, height: u32, colour: u8) -> Vec<u8> {
    let content = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &content)].concat()
}

/// A PNG file that ends where its pixels would begin.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    [header(width, height, 2), chunk(b"IDAT", b"")].concat()
}

/// A palette of a colour and a third: the decoder would panic.
#[test]
fn a_torn_palette_is_an_error_of_its_own_file() {
    // python: zlib.compress(b"\0\0")
    let pixel = b"\x78\x9c\x63\x60\x00\x00\x00\x02\x00\x01";
    let image = |palette: &[u8]| [header(1, 1, 3), chunk(b"PLTE", palette), chunk(b"IDAT", pixel), chunk(b"IEND", b"")].concat();
    assert!(
        Fixture::new(&[("a/1.png".to_owned(), image(&[1, 2, 3])), ("a/2.png".to_owned(), image(&[1, 2, 3, 4, 5, 6]))]).load(&[]).is_ok()
    );
    let error = error_of(&[("a/1.png", image(&[1, 2, 3])), ("a/2.png", image(&[1, 2, 3, 4]))]);
    assert!(error.contains("a/2.png: can't be decoded: its palette is no list of colours"), "{error}");
}

#[test]
fn images_that_are_none_give_one_clear_error() {
    let whole = png([1, 2, 3], 64, 64);
    let expect = |content: Vec<u8>, expected: &str| {
        let error = error_of(&[("a/1.png", png([1; 3], 2, 2)), ("a/2.png", content)]);
        assert!(error.contains("set.zip: a/2.png: ") && error.contains(expected), "{error}, not {expected}");
    };
    expect(claiming(100_000, 100_000), "has 100000×100000 pixels; at most 67108864 are read");
    expect(claiming(0, 5), "can't be decoded");
    expect(whole[..whole.len() / 2].to_vec(), "can't be decoded");
    expect(b"GIF89a".to_vec(), "is neither a PNG nor a JPEG image");
    expect(vec![], "is neither a PNG nor a JPEG image");
    let error = error_of(&[("a/1.png", vec![0; (64 << 20) + 1])]);
    assert!(error.contains("a/1.png: is larger than 64 MiB"), "{error}");
}

#[test]
fn too_much_in_all_is_refused_before_it_is_allocated() {
    let files: Vec<_> = (0..2731).map(|i| (format!("a/{i}.png"), vec![])).collect();
    let error = Fixture::new(&files).load(&[("image_size", Value::Int(1024))]).unwrap_err();
    assert!(error.contains("has 2731 images of 3145728 bytes each when decoded, more than 8 GiB in all"), "{error}");
}

#[test]
fn only_plain_names_are_looked_for() {
    let fixture = Fixture::new(&divided());
    for name in ["../set", "/etc", "a/b", "", ".hidden", "a\\b", "a b"] {
        let error = fixture.load(&[("images", Value::Text(name.into()))]).unwrap_err();
        assert!(error.contains("is no name of a folder or archive"), "{error}");
    }
    let error = fixture.load(&[("images", Value::Text("other".into()))]).unwrap_err();
    assert!(error.contains("put a folder `other`, or other.zip, .tar, .tar.gz or .tgz, into one of these"), "{error}");
    let error = load(&defaults(&choice()), &Places::new(None, None, None)).unwrap_err().to_string();
    assert_eq!(error, "images: the key `images` names a folder or archive, and is not given");
}
