"""The two DAGs of the reference platform in miniature, for Airflow 2 and 3: the same shape, of which two tasks do work.

The others are empty, which the scheduler ends by itself: a process for each of fifteen tasks takes a minute.
"""

import logging
import time
from datetime import UTC, datetime

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG, Param
except ImportError:
    from airflow import DAG
    from airflow.models.param import Param
    from airflow.operators.empty import EmptyOperator
    from airflow.operators.python import PythonOperator

log = logging.getLogger("platform")
COMMON = {"start_date": datetime(2024, 1, 1, tzinfo=UTC), "schedule": None, "catchup": False}


def wait_for_source_files(params):
    log.info("looking for %s rows", params["rows"])
    deadline = time.monotonic() + params["seconds"]
    while time.monotonic() < deadline:
        time.sleep(0.1)
    log.info("all source files are there")


def validate(params):
    log.info("validating %s rows", params["rows"])
    if params["bad"]:
        log.error("37 unexpected values in column amount")
        raise ValueError("transactions_suite failed")


with DAG(
    "production_data_pipeline",
    params={
        "bad": Param(False, type="boolean", description="transactions that fail their validation"),
        "rows": Param(500, type="integer", minimum=1, maximum=100000),
        "mode": Param("full", enum=["full", "delta"]),
        "seconds": Param(0, type="number"),
        "note": Param(None, type=["null", "string"]),
    },
    tags=["production"],
    **COMMON,
):
    ingests = [EmptyOperator(task_id=f"ingest_{name}") for name in ("customers", "transactions", "products", "events")]
    validates = [
        EmptyOperator(task_id="validate_customers_data"),
        PythonOperator(task_id="validate_transactions_data", python_callable=validate),
    ]
    last = EmptyOperator(task_id="custom_quality_validation")
    PythonOperator(task_id="wait_for_source_files", python_callable=wait_for_source_files) >> ingests
    for ingest in ingests:
        ingest >> validates
    validates >> last
    for name in ("dbt_run_staging", "dbt_run_intermediate", "dbt_run_marts", "dbt_test_all"):
        step = EmptyOperator(task_id=name)
        last >> step
        last = step
    ends = [EmptyOperator(task_id="trigger_glue_etl"), EmptyOperator(task_id="process_kinesis_streams")]
    last >> ends
    ends >> EmptyOperator(task_id="update_monitoring_metrics")

with DAG("monitoring_and_alerting", **COMMON):
    looks = ("check_system_health", "monitor_data_freshness", "collect_quality_metrics", "monitor_performance")
    [EmptyOperator(task_id=name) for name in looks] >> EmptyOperator(task_id="generate_alerts")
