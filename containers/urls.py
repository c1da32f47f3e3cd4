"""URLs of containers and of what happens to them."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
