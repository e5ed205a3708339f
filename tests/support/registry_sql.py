"""SQL past the gate, for a registry where `x` has version 1 with every protected mark and version 2 with none.

`prod.x` is a copy of version 1, and `other` has what version 2 has. The place of unaudited bytes is EVIL_SOURCE.
"""

EVIL_SOURCE = "mlflow-artifacts:/0/evil"
V = "workspace, name, version"
# Each would put a mark on what has no verdict, or other bytes behind a mark.
TAMPERS = {
    "an alias set": f"INSERT INTO registered_model_aliases ({V}, alias) VALUES ('default', 'x', 2, 'live')",
    "an alias in capitals": f"INSERT INTO registered_model_aliases ({V}, alias) VALUES ('default', 'x', 2, 'LIVE')",
    "an alias with an accent": f"INSERT INTO registered_model_aliases ({V}, alias) VALUES ('default', 'x', 2, 'lïve')",
    "an alias moved to another version": "UPDATE registered_model_aliases SET version = 2 WHERE name = 'x'",
    "an alias moved to another model": "UPDATE registered_model_aliases SET name = 'other' WHERE name = 'x'",
    "an alias renamed": (
        f"INSERT INTO registered_model_aliases ({V}, alias) VALUES ('default', 'x', 2, 'free');"
        " UPDATE registered_model_aliases SET alias = 'live' WHERE alias = 'free'"
    ),
    "a stage set": "UPDATE model_versions SET current_stage = 'Production' WHERE name = 'x' AND version = 2",
    "a version in a stage": f"INSERT INTO model_versions ({V}, current_stage, source, creation_time)"
    " VALUES ('default', 'x', 3, 'Production', 'mlflow-artifacts:/0/evil', 1)",
    "a version in a protected model": f"INSERT INTO model_versions ({V}, current_stage, source, creation_time)"
    " VALUES ('default', 'prod.x', 2, 'None', 'mlflow-artifacts:/0/evil', 1)",
    "a tag set": f"INSERT INTO model_version_tags ({V}, {{key}}, value)"
    " VALUES ('default', 'x', 2, 'validation_status', 'approved')",
    "a tag in capitals": f"INSERT INTO model_version_tags ({V}, {{key}}, value)"
    " VALUES ('default', 'x', 2, 'Validation_Status', 'approved')",
    "a tag moved": "UPDATE model_version_tags SET version = 2 WHERE name = 'x'",
    "a tag of a model": "INSERT INTO registered_model_tags (workspace, name, {key}, value)"
    " VALUES ('default', 'x', 'validation_status', 'approved')",
    "a source": "UPDATE model_versions SET source = 'mlflow-artifacts:/0/evil' WHERE name = 'x' AND version = 1",
    "a source of a version without marks": "UPDATE model_versions SET source = 'o' WHERE name = 'x' AND version = 2",
    "a storage location": "UPDATE model_versions SET storage_location = 'mlflow-artifacts:/0/evil' WHERE version = 1",
    "a storage location taken away": "UPDATE model_versions SET storage_location = NULL WHERE name = 'x'",
    "a run": "UPDATE model_versions SET run_id = 'another' WHERE name = 'x' AND version = 1",
    "a time of creation": "UPDATE model_versions SET creation_time = creation_time + 1 WHERE name = 'x'",
    "a deleted version with another source": "UPDATE model_versions SET current_stage = 'Deleted_Internal',"
    " storage_location = 'mlflow-artifacts:/0/evil' WHERE name = 'x' AND version = 1",
    "a version renumbered": "DELETE FROM model_version_tags; UPDATE model_versions SET version = 7 WHERE version = 1",
    "a version in the place of another": "DELETE FROM model_version_tags;"
    " DELETE FROM model_versions WHERE name = 'x' AND version = 1;"
    " UPDATE model_versions SET version = 1 WHERE name = 'x' AND version = 2",
    "a version of another model": "UPDATE model_versions SET name = 'prod.x' WHERE name = 'x' AND version = 2",
    "a version made again": "DELETE FROM model_version_tags;"
    " DELETE FROM model_versions WHERE name = 'x' AND version = 1;"
    f" INSERT INTO model_versions ({V}, current_stage, source, creation_time)"
    " SELECT workspace, name, version, 'None', 'mlflow-artifacts:/0/evil', created FROM zt_gate_bound"
    " WHERE name = 'x' AND version = 1",
    "a model with marks renamed": "UPDATE registered_models SET name = 'y' WHERE name = 'x'",
    "a protected model renamed": "UPDATE registered_models SET name = 'y' WHERE name = 'prod.x'",
    "a model renamed into a protected name": "UPDATE registered_models SET name = 'prod.o' WHERE name = 'other'",
    "a model moved": "INSERT INTO registered_models (workspace, name) VALUES ('default', 'z');"
    " UPDATE registered_models SET workspace = 'team-b' WHERE name = 'x'",
    "a model's time of creation": "UPDATE registered_models SET creation_time = 1 WHERE name = 'x'",
}

TABLES = (
    *("registered_models", "model_versions", "registered_model_aliases"),
    *("registered_model_tags", "model_version_tags"),
)
SAVE = "; ".join(f"CREATE TABLE saved_{name} AS SELECT * FROM {name}" for name in TABLES)
RESTORE = "; ".join(
    [f"DELETE FROM {name}" for name in reversed(TABLES)]
    + [f"INSERT INTO {name} SELECT * FROM saved_{name}" for name in TABLES]
)
CLOSED = {
    "an alias set": ("@live",),
    "an alias moved to another version": ("@champion",),
    "a stage set": ("Production",),
    "a version in a stage": ("Production",),
    "a version in a protected model": ("prod.x/2",),
    "a source": ("@champion", "Production"),
    "a storage location": ("@champion", "prod.x/1"),
    "a storage location taken away": ("@champion",),
    "a run": ("@champion",),
    "a time of creation": ("@champion",),
    "a version in the place of another": ("@champion",),
    "a version made again": ("@champion",),
    "a version of another model": ("prod.x/2",),
    "a version renumbered": ("@champion", "prod.x/1"),
    "a model with marks renamed": ("@champion",),
}
"""What resolves to nothing after a tamper that met no trigger."""
