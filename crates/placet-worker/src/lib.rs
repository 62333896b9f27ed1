//! The built-in orchestrations and activities.
