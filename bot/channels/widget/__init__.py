"""The widget: a chat launcher that one script tag puts on any page."""
