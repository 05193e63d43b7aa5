// Exceptions of the library as those of the package.
#include "annulus/comm/error.hpp"
#include "python/bindings.hpp"

namespace annulus::python {
namespace {

void raise(const char* type, const std::exception& error) {
  const auto errors = nb::module_::import_("annulus.errors");
  PyErr_SetString(errors.attr(type).ptr(), error.what());
}

void translate(const std::exception_ptr& exception, void* /*payload*/) {
  try {
    std::rethrow_exception(exception);
  } catch (const InputError& error) {
    raise("InputError", error);
  } catch (const comm::CommunicationError& error) {
    raise("CommunicationError", error);
  } catch (const Error& error) {
    raise("Error", error);
  }
}

}  // namespace

void bind_errors() {
  nb::register_exception_translator(&translate);
}

}  // namespace annulus::python
