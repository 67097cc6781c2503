//! Tables as Parquet: columns with their types, NaN as NaN and NULL as null, compressed with Snappy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use tracker::dump::{Datum, Kind, Table};

use crate::error::Error;
use crate::sheet::Sheet;

/// Rows that are gathered before they are written: readers skip whole groups, and memory stays small.
const GROUP: usize = 1 << 17;

struct Parquet {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column that are not NULL, and for every row whether it has one.
struct Column {
    values: Values,
    defined: Vec<i16>,
}

enum Values {
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Texts(Vec<ByteArray>),
}

pub(crate) fn sheet(folder: &Path, table: &Table) -> Result<Box<dyn Sheet>, Error> {
    let path = folder.join(format!("{}.parquet", table.name));
    let file = File::create_new(&path).map_err(Error::file(&path))?;
    let column = |column: &tracker::dump::Column| {
        let (physical, converted) = match column.kind {
            Kind::Integer => (Physical::INT64, ConvertedType::NONE),
            Kind::Real => (Physical::DOUBLE, ConvertedType::NONE),
            Kind::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
        };
        let builder = Type::primitive_type_builder(column.name, physical).with_repetition(Repetition::OPTIONAL);
        builder.with_converted_type(converted).build().map(Arc::new)
    };
    let make = || {
        let fields = table.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(Type::group_type_builder(table.name).with_fields(fields).build()?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        SerializedFileWriter::new(file, schema, Arc::new(properties))
    };
    let writer = make().map_err(|e| failed(&path, e))?;
    let columns = table.columns.iter().map(|column| Column::new(column.kind)).collect();
    Ok(Box::new(Parquet { path, writer, columns, rows: 0 }))
}

fn failed(path: &Path, error: ParquetError) -> Error {
    Error::File { path: path.to_owned(), source: std::io::Error::other(error) }
}

impl Column {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Integer => Values::Integers(vec![]),
            Kind::Real => Values::Reals(vec![]),
            Kind::Text => Values::Texts(vec![]),
        };
        Column { values, defined: vec![] }
    }

    fn push(&mut self, datum: &Datum<'_>) {
        let is_defined = match (&mut self.values, datum) {
            (Values::Integers(values), Datum::Integer(x)) => {
                values.push(*x);
                true
            }
            (Values::Reals(values), Datum::Real(x)) => {
                values.push(*x);
                true
            }
            (Values::Texts(values), Datum::Text(text)) => {
                // Most are the same as in the row before, and share its bytes.
                let same = values.last().filter(|last| last.data() == text.as_bytes()).cloned();
                values.push(same.unwrap_or_else(|| ByteArray::from(text.as_bytes().to_vec())));
                true
            }
            _ => false,
        };
        self.defined.push(i16::from(is_defined));
    }

    /// Writes the values as the group's next column, and forgets them.
    fn write(&mut self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<(), ParquetError> {
        fn put<T: DataType>(
            group: &mut SerializedRowGroupWriter<'_, File>,
            values: &mut Vec<T::T>,
            defined: &[i16],
        ) -> Result<(), ParquetError> {
            let Some(mut column) = group.next_column()? else { return Err(ParquetError::General("a column too many".into())) };
            column.typed::<T>().write_batch(values, Some(defined), None)?;
            values.clear();
            column.close()
        }
        match &mut self.values {
            Values::Integers(values) => put::<Int64Type>(group, values, &self.defined),
            Values::Reals(values) => put::<DoubleType>(group, values, &self.defined),
            Values::Texts(values) => put::<ByteArrayType>(group, values, &self.defined),
        }?;
        self.defined.clear();
        Ok(())
    }
}

impl Parquet {
    fn flush(&mut self) -> Result<(), Error> {
        if self.rows == 0 {
            return Ok(());
        }
        self.rows = 0;
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            self.columns.iter_mut().try_for_each(|column| column.write(&mut group))?;
            group.close().map(drop)
        };
        write().map_err(|e| failed(&self.path, e))
    }
}

impl Sheet for Parquet {
    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), Error> {
        self.columns.iter_mut().zip(row).for_each(|(column, datum)| column.push(datum));
        self.rows += 1;
        if self.rows < GROUP { Ok(()) } else { self.flush() }
    }

    fn end(mut self: Box<Self>) -> Result<(), Error> {
        self.flush()?;
        let Parquet { path, writer, .. } = *self;
        writer.close().map(drop).map_err(|e| failed(&path, e))
    }
}
