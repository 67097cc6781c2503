"""Writes ../src/mlflow/schema.sql: the tables of an empty tracking store, as the installed MLflow makes them. Its last line prints the
revision for REVISION in ../src/mlflow/mod.rs."""

import pathlib
import sqlite3
import tempfile

import mlflow

with tempfile.TemporaryDirectory() as folder:
    store = pathlib.Path(folder) / "mlflow.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}").search_experiments()
    connection = sqlite3.connect(store)
    statements = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
head = f"-- The tables of an MLflow tracking store, as MLflow {mlflow.__version__} makes them (tests/mlflow_schema.py writes this file anew).\n"
target = pathlib.Path(__file__).parent.parent / "src/mlflow/schema.sql"
target.write_text(head + "".join(f"{sql};\n" for sql in statements))
print(revision)
