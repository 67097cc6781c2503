//! Things that stand on each other, put into order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An order of `0..needs.len()` in which everything stands behind what it needs; the smallest number first where there is a
/// choice. `Err`: a cycle, each of which needs the next, and the last the first.
pub(super) fn ordered(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by = vec![vec![]; needs.len()];
    for (i, list) in needs.iter().enumerate() {
        for &need in list {
            needed_by[need].push(i);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..needs.len()).filter(|i| open[*i] == 0).map(Reverse).collect();
    let mut order = vec![];
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for &next in &needed_by[i] {
            open[next] -= 1;
            if open[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    let Some(start) = open.iter().position(|n| *n > 0) else { return Ok(order) };
    // Whatever is left needs something that is left: following it leads into a cycle.
    let mut path = vec![start];
    let mut place = vec![usize::MAX; needs.len()];
    loop {
        let last = path[path.len() - 1];
        if place[last] != usize::MAX {
            let cycle = &path[place[last]..path.len() - 1];
            // It starts where the file first mentions it.
            let first = cycle.iter().enumerate().min_by_key(|(_, i)| **i).map_or(0, |(at, _)| at);
            return Err([&cycle[first..], &cycle[..first]].concat());
        }
        place[last] = path.len() - 1;
        match needs[last].iter().find(|need| open[**need] > 0) {
            Some(next) => path.push(*next),
            None => return Err(path),
        }
    }
}
