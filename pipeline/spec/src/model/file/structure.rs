//! What connects the parts of a model file: the order of nodes, the output, and which blocks use which.

use std::collections::BTreeSet;

use super::order::ordered;
use super::parse::Parser;
use super::{Block, Item, MAX_DEPTH, Span, What};
use crate::document::Result;

/// The order and the output of a block's nodes; `output` is the one that the file names.
///
/// # Errors
/// Nodes in a circle, nodes that lead nowhere, several outputs.
pub(super) fn connect(p: &Parser<'_>, items: &[Item], spans: &[Span], output: Option<usize>, span: &Span) -> Result<(Vec<usize>, usize)> {
    let name = |i: usize| format!("`{}`", items[i].name.as_deref().unwrap_or_default());
    let needs: Vec<Vec<usize>> = items.iter().map(|item| item.from.iter().copied().flatten().collect()).collect();
    let order = ordered(&needs).map_err(|cycle| {
        let names: Vec<String> = cycle.iter().chain(&cycle[..1]).map(|i| name(*i)).collect();
        let message = format!("nodes can't take from each other in a circle: {}", names.join(" from "));
        p.source.error(spans[cycle[0]].clone(), message)
    })?;
    let mut taken = vec![false; items.len()];
    for &i in needs.iter().flatten() {
        taken[i] = true;
    }
    let ends: Vec<usize> = (0..items.len()).filter(|i| !taken[*i]).collect();
    let output = match (output, &ends[..]) {
        (Some(output), _) => output,
        (None, [only]) => *only,
        (None, [first, .., last]) => {
            let message = format!("there are several outputs: nothing takes from {}, and nothing from {}", name(*first), name(*last));
            let error = p.source.error(spans[*last].clone(), message);
            return Err(error.help("connect or remove what is too much; `output = \"…\"` says which of several nodes is meant"));
        }
        (None, []) => return Err(p.source.error(span.clone(), "there is no node")),
    };
    let mut used = vec![false; items.len()];
    used[output] = true;
    for &i in order.iter().rev() {
        if used[i] {
            needs[i].iter().for_each(|n| used[*n] = true);
        }
    }
    if let Some(unused) = used.iter().position(|u| !u) {
        let message = format!("the node {} is used by nothing that leads to the output {}", name(unused), name(output));
        return Err(p.source.error(spans[unused].clone(), message).help("remove it, or let another node take from it"));
    }
    Ok((order, output))
}

/// Checks how blocks use blocks, and finds out which of their parameters are left to their defaults.
///
/// # Errors
/// Blocks that contain themselves, are nested too deeply, or that nothing uses.
pub(super) fn nest(p: &Parser<'_>, network: &Block, blocks: &mut [Block], spans: &[Span]) -> Result<()> {
    let uses = |block: &Block| -> Vec<usize> {
        let mut used: Vec<usize> = block.items.iter().filter_map(Item::block).collect();
        used.sort_unstable();
        used.dedup();
        used
    };
    let needs: Vec<Vec<usize>> = blocks.iter().map(uses).collect();
    let order = ordered(&needs).map_err(|cycle| {
        let names: Vec<String> = cycle.iter().chain(&cycle[..1]).map(|i| format!("`{}`", blocks[*i].name)).collect();
        p.source.error(spans[cycle[0]].clone(), format!("a block can't contain itself: {}", names.join(" uses ")))
    })?;
    let mut depth = vec![1; blocks.len()];
    for &i in &order {
        depth[i] = 1 + needs[i].iter().map(|n| depth[*n]).max().unwrap_or(0);
        if depth[i] > MAX_DEPTH {
            let message = format!("the block `{}` contains blocks in blocks more than {MAX_DEPTH} deep", blocks[i].name);
            return Err(p.source.error(spans[i].clone(), message));
        }
    }
    let mut used = vec![false; blocks.len()];
    let direct = uses(network);
    for i in direct.into_iter().chain(needs.into_iter().flatten()) {
        used[i] = true;
    }
    if let Some(unused) = used.iter().position(|u| !u) {
        let error = p.source.error(spans[unused].clone(), format!("nothing uses the block `{}`", blocks[unused].name));
        return Err(error.help("remove it, or use it: { block = \"…\" }"));
    }
    let mut left_out = vec![];
    for item in std::iter::once(network).chain(&*blocks).flat_map(|user| &user.items) {
        let Some(block) = item.block() else { continue };
        let given: BTreeSet<&str> = item.attributes.iter().map(|a| a.name.as_str()).collect();
        let open = |k: &usize| !given.contains(blocks[block].parameters[*k].name.as_str());
        left_out.extend((0..blocks[block].parameters.len()).filter(open).map(|k| (block, k)));
    }
    for (block, parameter) in left_out {
        blocks[block].parameters[parameter].open = true;
    }
    Ok(())
}

impl Item {
    /// The block that it uses.
    pub(super) fn block(&self) -> Option<usize> {
        match self.what {
            What::Block(block) => Some(block),
            What::Layer(_) => None,
        }
    }
}
