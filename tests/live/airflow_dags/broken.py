"""No DAG: a file that does not load, which a deployment has more often than not."""

from airflow import DAG

raise RuntimeError(f"no such table: customers, for a {DAG.__name__}")
