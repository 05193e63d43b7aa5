#include "results/h5/attribute.hpp"

namespace annulus::results::h5 {
namespace {

Handle text_type() {
  Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy", "text type");
  check(H5Tset_size(type.get(), H5T_VARIABLE), "H5Tset_size", "text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset", "text type");
  return type;
}

Handle scalar_space() {
  return own(H5Screate(H5S_SCALAR), H5Sclose, "H5Screate", "scalar");
}

Handle create(hid_t object, const std::string& name, hid_t type, const Handle& space) {
  if (has_attribute(object, name)) check(H5Adelete(object, name.c_str()), "H5Adelete", name);
  return own(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
             H5Aclose, "H5Acreate2", name);
}

Handle open(hid_t object, const std::string& name) {
  return own(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "H5Aopen", name);
}

std::vector<std::string> read_all_texts(hid_t object, const std::string& name) {
  const Handle attribute = open(object, name);
  const Handle stored = own(H5Aget_type(attribute.get()), H5Tclose, "H5Aget_type", name);
  if (check(H5Tis_variable_str(stored.get()), "H5Tis_variable_str", name) == 0) {
    throw Error("attribute " + name + " is not a text of variable length");
  }
  const Handle space = own(H5Aget_space(attribute.get()), H5Sclose, "H5Aget_space", name);
  const auto count = check(H5Sget_simple_extent_npoints(space.get()), "H5Sget_extent", name);
  std::vector<char*> pointers(static_cast<std::size_t>(count), nullptr);
  if (pointers.empty()) return {};
  const Handle type = text_type();
  check(H5Aread(attribute.get(), type.get(), static_cast<void*>(pointers.data())), "H5Aread", name);
  std::vector<std::string> texts;
  for (const char* pointer : pointers) texts.emplace_back(pointer == nullptr ? "" : pointer);
  check(H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, static_cast<void*>(pointers.data())),
        "H5Dvlen_reclaim", name);
  return texts;
}

}  // namespace

void write_attribute(hid_t object, const std::string& name, const std::string& text) {
  const Handle type = text_type();
  const Handle attribute = create(object, name, type.get(), scalar_space());
  const char* pointer = text.c_str();
  check(H5Awrite(attribute.get(), type.get(), static_cast<const void*>(&pointer)), "H5Awrite",
        name);
}

void write_attribute(hid_t object, const std::string& name, const std::vector<std::string>& texts) {
  const hsize_t count = texts.size();
  const Handle space =
      own(H5Screate_simple(1, &count, nullptr), H5Sclose, "H5Screate_simple", name);
  const Handle type = text_type();
  const Handle attribute = create(object, name, type.get(), space);
  std::vector<const char*> pointers;
  for (const auto& text : texts) pointers.push_back(text.c_str());
  if (pointers.empty()) return;
  check(H5Awrite(attribute.get(), type.get(), static_cast<const void*>(pointers.data())),
        "H5Awrite", name);
}

void write_attribute(hid_t object, const std::string& name, Index number) {
  const Handle attribute = create(object, name, H5T_STD_I64LE, scalar_space());
  check(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &number), "H5Awrite", name);
}

bool has_attribute(hid_t object, const std::string& name) {
  return check(H5Aexists(object, name.c_str()), "H5Aexists", name) > 0;
}

std::string read_text(hid_t object, const std::string& name) {
  const auto texts = read_all_texts(object, name);
  if (texts.size() != 1) throw Error("attribute " + name + " is not a single text");
  return texts.front();
}

std::vector<std::string> read_texts(hid_t object, const std::string& name) {
  return read_all_texts(object, name);
}

Index read_number(hid_t object, const std::string& name) {
  const Handle attribute = open(object, name);
  const Handle space = own(H5Aget_space(attribute.get()), H5Sclose, "H5Aget_space", name);
  if (check(H5Sget_simple_extent_npoints(space.get()), "H5Sget_extent", name) != 1) {
    throw Error("attribute " + name + " is not a single number");
  }
  Index number = 0;
  check(H5Aread(attribute.get(), H5T_NATIVE_INT64, &number), "H5Aread", name);
  return number;
}

}  // namespace annulus::results::h5
