//! The JavaScript functions that the module imports. Only those in use are declared: `js-sys` would add glue code for
//! its closures.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `Object`.
    pub(crate) type Object;

    /// `Object.entries`.
    #[wasm_bindgen(static_method_of = Object)]
    pub(crate) fn entries(object: &Object) -> Vec<JsValue>;

    /// `toJson()` of what may be a handle of this module.
    #[wasm_bindgen(method, catch, js_name = toJson)]
    pub(crate) fn to_json(this: &Object) -> Result<JsValue, JsValue>;

    /// The elements of an array.
    #[wasm_bindgen(js_namespace = Array, js_name = from)]
    pub(crate) fn elements(array: &JsValue) -> Vec<JsValue>;

    /// Thrown for an argument of the wrong type.
    pub(crate) type TypeError;

    #[wasm_bindgen(constructor)]
    pub(crate) fn new(message: &str) -> TypeError;

    /// A function of one argument.
    pub(crate) type Function;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn call(
        this: &Function,
        receiver: &JsValue,
        argument: &JsValue,
    ) -> Result<JsValue, JsValue>;
}
