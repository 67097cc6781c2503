//! Matrices cut into panels of columns, as wide as the matrix kernel takes them.

use super::Real;
use super::memory::room;
use super::tile::panel_width;

/// A matrix \[rows, columns\] cut into panels of columns, so that a panel is one stretch of memory.
pub(super) struct Panels<T> {
    columns: usize,
    width: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Real> Panels<T> {
    pub(super) fn new(columns: usize) -> Self {
        Panels { columns, width: panel_width::<T>(), element: std::marker::PhantomData }
    }

    /// A matrix that is no wider than a panel is its own panel.
    fn is_single(&self) -> bool {
        self.columns <= self.width
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Numbers from one row of a panel to the next.
    pub(super) fn pitch(&self) -> usize {
        if self.is_single() { self.columns } else { self.width }
    }

    /// First column and number of columns of each panel.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.columns).step_by(self.width).map(|first| (first, self.width.min(self.columns - first)))
    }

    /// The panel that starts with column `first`.
    pub(super) fn panel<'m>(&self, packed: &'m [T], first: usize, rows: usize) -> &'m [T] {
        if self.is_single() { packed } else { &packed[first * rows..(first + self.width) * rows] }
    }

    /// Index of an element in the packed matrix.
    pub(super) fn index(&self, row: usize, column: usize, rows: usize) -> usize {
        let first = column / self.width * self.width;
        first * rows + row * self.pitch() + column - first
    }

    /// Numbers in the packed matrix.
    pub(super) fn packed_len(&self, rows: usize) -> usize {
        if self.is_single() { self.columns * rows } else { self.columns.next_multiple_of(self.width) * rows }
    }

    /// Packs `groups` such matrices that stand side by side, one after another.
    pub(super) fn pack_groups<'m>(&self, matrix: &'m [T], rows: usize, groups: usize, memory: &'m mut Vec<T>) -> &'m [T] {
        if self.is_single() && groups == 1 {
            return matrix;
        }
        let packed = room(memory, groups * self.packed_len(rows));
        for (r, row) in matrix.chunks_exact(groups * self.columns).enumerate() {
            for (row, packed) in row.chunks_exact(self.columns).zip(packed.chunks_exact_mut(self.packed_len(rows))) {
                for (first, columns) in self.iter() {
                    let at = self.index(r, first, rows);
                    packed[at..at + columns].copy_from_slice(&row[first..first + columns]);
                }
            }
        }
        packed
    }
}
