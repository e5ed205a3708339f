"""People on a server with MLflow's basic-auth."""

from tests.support.registry_site import Registry

PASSWORD = "a-long-password-of-theirs"


def person(admin: Registry, name: str) -> Registry:
    """Make a user, and return the server as this user sees it."""
    body = {"username": name, "password": PASSWORD}
    made = admin.http.post(f"{admin.url}/api/2.0/mlflow/users/create", json=body, timeout=60)
    assert made.status_code == 200 or "ALREADY_EXISTS" in made.text, made.text
    return Registry(admin.url, (name, PASSWORD))


def permit(admin: Registry, model: str, name: str, level: str) -> None:
    """Give a person a permission on a model, by the API of either MLflow."""
    body = {"name": model, "username": name, "permission": level}
    answer = admin.call("POST", "registered-models/permissions/create", body)
    if answer.status_code in (404, 405):
        body = {"username": name, "resource_type": "registered_model", "resource_id": model, "permission": level}
        answer = admin.http.post(f"{admin.url}/api/3.0/mlflow/users/permissions/grant", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
