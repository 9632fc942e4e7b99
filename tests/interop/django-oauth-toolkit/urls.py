"""The server under /o, as its documentation mounts it, so that its issuer has a path; and a login page."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.views import LoginView
from django.core.signals import setting_changed
from django.db.models import F
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from oauth2_provider import urls as oauth2_urls
from oauth2_provider.views.generic import ProtectedResourceMetadataView

from settings import new_key


def set_keys(active, inactive):
    """As if the server had been restarted with these."""
    changed = {"OIDC_RSA_PRIVATE_KEY": active, "OIDC_RSA_PRIVATE_KEYS_INACTIVE": inactive}
    settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, **changed}
    setting_changed.send(
        sender=None, setting="OAUTH2_PROVIDER", value=settings.OAUTH2_PROVIDER, enter=True
    )


@csrf_exempt
@require_POST
def rotate(request):
    """Signs with a new key from now on. Those before stay published."""
    now = settings.OAUTH2_PROVIDER
    before = [now["OIDC_RSA_PRIVATE_KEY"], *now["OIDC_RSA_PRIVATE_KEYS_INACTIVE"]]
    set_keys(new_key(), before)
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
def retire(request):
    """Publishes only the key that signs."""
    set_keys(settings.OAUTH2_PROVIDER["OIDC_RSA_PRIVATE_KEY"], [])
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
def pass_an_hour(request):
    """Since anybody signed in."""
    hour = timedelta(hours=1)
    get_user_model().objects.update(last_login=F("last_login") - hour)
    return HttpResponse(status=204)


class Api(ProtectedResourceMetadataView):
    """An API whose challenges say where its metadata is (RFC 9728)."""

    def get_resource_metadata_url(self, request):
        return request.build_absolute_uri("/.well-known/oauth-protected-resource/api")

    def get(self, request):
        _, token = self.verify_request(request)
        return JsonResponse({"scope": token.access_token.scope})


urlpatterns = [
    path("api", Api.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    # Where RFC 8414 looks for the metadata of an issuer with a path.
    path("", include(oauth2_urls.metadata_urlpatterns)),
    path("accounts/login/", LoginView.as_view()),
    path("_rotate", rotate),
    path("_retire", retire),
    path("_pass_an_hour", pass_an_hour),
]
