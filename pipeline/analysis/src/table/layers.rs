//! Table `layers`: the networks of the arms, layer by layer.
//! Listed in `TABLES`; on the page where a few networks are compared, else a file.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;

/// More rows than this are for a program to read.
const MOST_ROWS: usize = 40;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    // Arms of one network are listed together.
    let mut networks: Vec<(Vec<&str>, &[spec::record::LayerFacts])> = vec![];
    for arm in &a.arms {
        let Some(layers) = arm.runs.iter().map(|run| run.record.layers.as_slice()).find(|layers| !layers.is_empty()) else { continue };
        match networks.iter_mut().find(|(_, known)| *known == layers) {
            Some((arms, _)) => arms.push(arm.label),
            None => networks.push((vec![arm.label], layers)),
        }
    }
    for (arms, layers) in &networks {
        let name = if networks.len() == 1 { "all".to_owned() } else { arms.join(", ") };
        for (number, layer) in (1..).zip(*layers) {
            let sizes: Vec<String> = layer.output.iter().map(ToString::to_string).collect();
            rows.push(vec![
                Cell::Text(name.clone()),
                Cell::Count(number),
                Cell::Text(layer.text.clone()),
                Cell::Text(sizes.join("×")),
                Cell::Count(layer.parameters),
                Cell::Count(layer.multiply_adds),
            ]);
        }
        let total = |of: fn(&spec::record::LayerFacts) -> u64| Cell::Count(layers.iter().map(of).sum());
        let mut row = vec![Cell::Text(name), Cell::Text(String::new()), Cell::Text("all layers".into()), Cell::Text(String::new())];
        row.extend([total(|layer| layer.parameters), total(|layer| layer.multiply_adds)]);
        rows.push(row);
    }
    let columns = vec![
        Column::new("arms"),
        Column::new("layer"),
        Column::new("what"),
        Column::new("output"),
        Column::new("parameters"),
        Column::new("multiply-adds").parts("", &["multiply_adds"]),
    ];
    let caption = "The networks, layer by layer; arms of the same network stand together. Output: sizes of what one example becomes, \
                   channels last. Multiply-adds: of one example's forward pass. A conv3x3 16 has 16 filters of 3×3; relu is part of the \
                   layer that it follows."
        .into();
    let in_page = networks.len() > 1 && rows.len() <= MOST_ROWS;
    Ok((!rows.is_empty()).then_some(Table { name: "layers", caption, in_page, columns, rows }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::LayerFacts;

    use super::*;
    use crate::fixture::study;

    #[test]
    fn arms_of_one_network_stand_together_with_its_totals() {
        let layer =
            |text: &str, parameters| LayerFacts { text: text.into(), output: vec![4, 2], parameters, multiply_adds: 2 * parameters };
        let mut data = study("nets", &["lr"]);
        for (position, layers) in
            [vec![layer("a", 3), layer("b", 4)], vec![layer("a", 3), layer("b", 4)], vec![layer("c", 5)]].into_iter().enumerate()
        {
            let run = data.add(&format!("arm{position}"), position, &[json!(position)], 0);
            data.runs[run as usize].layers = layers;
        }
        let made = table(&Analysis::of(&data).unwrap()).unwrap().unwrap();
        let text = |row: usize, column: usize| made.rows[row][column].clone();
        assert_eq!((made.rows.len(), made.in_page), (5, true));
        assert_eq!((text(0, 0), text(1, 3)), (Cell::Text("arm0, arm1".into()), Cell::Text("4×2".into())));
        assert_eq!((text(2, 4), text(2, 5), text(4, 4)), (Cell::Count(7), Cell::Count(14), Cell::Count(5)));
    }
}
