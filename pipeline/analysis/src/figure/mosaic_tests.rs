//! Tests of mosaics: what is embedded decodes to the pixels that were given, nothing overlaps or leaves the figure.
//! Run by `cargo test`; other tests take the pictures out of a figure with [`pictures`].

use std::io::Cursor;

use super::*;

/// The embedded pictures of a figure: width, height, bytes per pixel, bytes.
pub(crate) fn pictures(svg: &str) -> Vec<(u32, u32, usize, Vec<u8>)> {
    let encoded = svg.split("data:image/png;base64,").skip(1).map(|rest| rest.split('"').next().unwrap());
    let decode = |text: &str| {
        let mut reader = png::Decoder::new(Cursor::new(STANDARD.decode(text).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, info.color_type.samples(), pixels)
    };
    encoded.map(decode).collect()
}

/// The rectangles of the embedded pictures: left, top, width, height.
fn rectangles(svg: &str) -> Vec<[f64; 4]> {
    let number = |tag: &str, name: &str| -> f64 {
        let rest = tag.split(&format!(" {name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let tags = svg.split("<image").skip(1);
    tags.map(|tag| ["x", "y", "width", "height"].map(|name| number(tag, name))).collect()
}

fn mosaic(tiles: Vec<Tile>) -> Mosaic {
    Mosaic { title: "Digits & <letters>".into(), subtitle: None, bands: vec![Band { title: Some("a<b".into()), tiles }] }
}

fn gradient(height: u32, width: u32, channels: u32) -> Vec<u8> {
    (0..height * width * channels).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

#[test]
fn pictures_come_out_as_they_went_in() {
    let sizes = [[28, 28, 1], [2, 3, 3], [1, 1, 1], [32, 32, 3], [5, 1, 1]];
    let tile = |[h, w, c]: [u32; 3]| Tile::picture("x < y", [h, w, c], &gradient(h, w, c)).unwrap();
    let figure = mosaic(sizes.map(tile).to_vec());
    let svg = figure.svg();
    let expected: Vec<_> = sizes.iter().map(|[h, w, c]| (*w, *h, *c as usize, gradient(*h, *w, *c))).collect();
    assert_eq!(pictures(&svg), expected);
    assert_eq!(svg, figure.svg());
    assert!(svg.contains("Digits &amp; &lt;letters&gt;") && svg.contains("x &lt; y") && svg.contains("a&lt;b"), "{svg}");
}

#[test]
fn tiles_are_readable_and_apart() {
    for (height, width) in [(28, 28), (8, 8), (1, 1), (100, 100), (28, 252), (3, 900), (900, 3), (500, 700)] {
        let tile = Tile::picture("label", [height, width, 1], &gradient(height, width, 1)).unwrap();
        let svg = mosaic(vec![tile; 30]).svg();
        let found = rectangles(&svg);
        assert_eq!(found.len(), 30);
        for (i, [x, y, w, h]) in found.iter().enumerate() {
            assert!(*x >= EDGE - 0.01 && x + w <= WIDTH - EDGE + 0.01, "{height}×{width}: {x} {w}");
            assert!(w.max(*h) >= 56.0 && w.min(*h) <= 128.0, "{height}×{width}: drawn {w}×{h}");
            let apart = |o: &[f64; 4]| x + w <= o[0] || y + h + LABEL <= o[1];
            assert!(found[i + 1..].iter().all(apart), "{height}×{width}: {i}");
        }
    }
}

#[test]
fn large_pictures_are_averaged_down() {
    // 256 pixels wide in steps of 2; the last row stands alone.
    let pixels: Vec<u8> =
        (0..255u32).flat_map(|row| (0..256u32).map(move |column| u8::try_from(10 * (row % 2) + 4 * (column % 2)).unwrap())).collect();
    let tile = Tile::picture("", [255, 256, 1], &pixels).unwrap();
    let (width, height, _, small) = pictures(&mosaic(vec![tile]).svg()).remove(0);
    assert_eq!((width, height), (128, 128));
    assert!(small[..128 * 127].iter().all(|p| *p == 7) && small[128 * 127..].iter().all(|p| *p == 2));
}

#[test]
fn what_is_no_picture_has_no_tile() {
    for (size, bytes) in [([2, 2, 2], 8), ([2, 2, 1], 3), ([0, 2, 1], 0), ([2, 2, 4], 16), ([u32::MAX; 3], 9), ([u32::MAX, u32::MAX, 1], 9)]
    {
        assert_eq!(Tile::picture("x", size, &vec![0; bytes]), None, "{size:?}");
    }
    assert!(Tile::signal("x", 0, &[1]).is_none() && Tile::signal("x", 2, &[1, 2, 3]).is_none() && Tile::signal("x", 1, &[]).is_none());
    assert!(Mosaic::default().svg().starts_with("<svg ") && pictures(&mosaic(vec![]).svg()).is_empty());
}

#[test]
fn a_signal_has_a_line_per_channel() {
    // Two channels: one at the top, one at the bottom.
    let tile = Tile::signal("one", 2, &[255, 0, 255, 0, 255, 0]).unwrap();
    let svg = mosaic(vec![tile]).svg();
    let paths: Vec<&str> = svg.split("<path d=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let heights: Vec<Vec<&str>> = paths.iter().map(|d| d.split(' ').skip(1).step_by(2).collect()).collect();
    assert_eq!(paths.len(), 2);
    assert!(heights.iter().all(|line| line.len() == 3 && line.iter().all(|y| *y == line[0])), "{heights:?}");
    let y = |line: usize| heights[line][0].parse::<f64>().unwrap();
    assert!((y(1) - y(0) - (f64::from(PLOT.1) - 4.0)).abs() < 1e-9);
    assert!(Tile::signal("one sample", 1, &[7]).is_some_and(|tile| mosaic(vec![tile]).svg().contains("<circle")));
}
