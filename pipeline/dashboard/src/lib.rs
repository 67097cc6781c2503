//! The live dashboard: reads the database while a sweep writes it, and serves it to a browser. It knows neither candle, nor SQL, nor polars.
