"""Static files under names that change with their content, the modules that scripts import included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Without this a browser could mix modules of two versions: ``import "./toast.js"`` would keep its name."""

    support_js_module_import_aggregation = True
