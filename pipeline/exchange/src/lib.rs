//! Results as files of others (Parquet, CSV, JSON, TensorBoard, MLflow), and theirs as results. It knows neither candle nor polars.
