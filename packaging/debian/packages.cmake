# packages.cmake: the five Debian packages, one for each component.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The urn developers <urn@urn.example>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON) # /etc is not below the prefix
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL programs engine engine_dev client client_dev)
set(CPACK_COMPONENT_ENGINE_DEV_DEPENDS engine)
set(CPACK_COMPONENT_CLIENT_DEV_DEPENDS client)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY >=)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What policy wants and `cmake --install` does not do: compressed pages, copyright, changelog.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)

# package(component name section synopsis text)
function(package component name section synopsis text)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_COMPONENT_${upper}_DESCRIPTION "${synopsis}
urn hands out finite, valuable items (gacha, coupons, prizes, loot) at
random, never more than there are, and answers only what is safe on the
disk.
.
${text}" PARENT_SCOPE)
endfunction()

package(programs urn database "durable reward-pool server"
  "This package has the server urnd, the client urn, urn-wal, which reads and
verifies the log, and the load generator urn-bench. The server is not started
at installation: first its pools have to be written.")
package(engine liburn0 libs "durable reward-pool engine (library)"
  "This package has the engine as a shared library.")
package(engine_dev liburn-dev libdevel "durable reward-pool engine (development files)"
  "This package has what programs with the engine inside are built with.")
package(client liburnclient0 libs "client of the urn reward-pool server (library)"
  "This package has the C client as a shared library.")
package(client_dev liburnclient-dev libdevel
  "client of the urn reward-pool server (development files)"
  "This package has what programs that talk to urnd are built with.")

set(CPACK_DEBIAN_PROGRAMS_PACKAGE_DEPENDS
  "systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SUGGESTS "python3-msgpack, prometheus-node-exporter")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm)
set(CPACK_DEBIAN_CLIENT_DEV_PACKAGE_DEPENDS libmsgpack-dev)
foreach(library ENGINE CLIENT)
  set(CPACK_DEBIAN_${library}_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/triggers)
  set(CPACK_DEBIAN_${library}_PACKAGE_MULTIARCH same)
  set(CPACK_DEBIAN_${library}_DEV_PACKAGE_MULTIARCH same)
endforeach()
include(CPack)
