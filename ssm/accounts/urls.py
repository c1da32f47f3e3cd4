"""URLs of this app."""

from django.urls import include, path

from ssm.accounts.views import account, audit, login, roles, users

account_patterns = (
    [
        path("", account.home, name="home"),
        path("password/", account.password, name="password"),
        path("second-factor/", account.second_factor, name="second-factor"),
        path("sessions/<uuid:pk>/end/", account.end_session, name="end-session"),
        path("sessions/end-others/", account.end_other_sessions, name="end-other-sessions"),
        path("tokens/", account.tokens, name="tokens"),
        path("tokens/<uuid:pk>/revoke/", account.revoke_token, name="revoke-token"),
    ],
    "account",
)
user_patterns = (
    [
        path("", users.user_list, name="list"),
        path("add/", users.add, name="add"),
        path("<int:pk>/", users.edit, name="edit"),
        path("<int:pk>/remove/", users.delete, name="delete"),
        path("<int:pk>/act/", users.act, name="act"),
    ],
    "users",
)
role_patterns = (
    [
        path("", roles.role_list, name="list"),
        path("add/", roles.add, name="add"),
        path("<int:pk>/", roles.edit, name="edit"),
        path("<int:pk>/remove/", roles.delete, name="delete"),
    ],
    "roles",
)

urlpatterns = [
    path("login/", login.LogInView.as_view(), name="login"),
    path("login/code/", login.code, name="login-code"),
    path("account/", include(account_patterns)),
    path("users/", include(user_patterns)),
    path("roles/", include(role_patterns)),
    path("activity/audit/", audit.audit, name="audit"),
    path("activity/audit/export/", audit.export, name="audit-export"),
]
